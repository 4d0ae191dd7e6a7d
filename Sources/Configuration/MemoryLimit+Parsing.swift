import Settings

extension MemoryLimit {
    /// Parses a text that ends in a percent sign.
    static func parseShare(_ text: String) throws(InvalidValue) -> MemoryLimit {
        let number = text.dropLast()
        guard !number.isEmpty, number.allSatisfy(\.isDigit) else {
            throw InvalidValue("\(quoted(text)) is no share; write a whole number and a percent sign, such as \"50%\"")
        }
        guard let percent = Int(number), (1...100).contains(percent) else {
            throw InvalidValue(
                "\(quoted(text)) is out of range; give a share from \"1%\" to \"100%\", or 0 for no limit")
        }
        return .share(percent: percent)
    }
}

extension ValueFormat<MemoryLimit> {
    /// A number of bytes, with 0 for no limit, or a share.
    static let memoryLimit: ValueFormat = {
        let sizes = ValueFormat<Int>.byteCount(1 << 20...16 << 40, zero: "no limit")
        return ValueFormat(
            type: "size or share", expected: "a size or a share",
            range: "\"1%\" to \"100%\", \(sizes.range ?? "")",
            decode: { node, decoding in
                guard case .string(let written) = node.value, written.hasSuffix("%") else {
                    return sizes.decode(node, &decoding).map { .byteCount($0) }
                }
                do throws(InvalidValue) { return try MemoryLimit.parseShare(written) } catch {
                    decoding.report(error, at: node)
                    return nil
                }
            },
            text: {
                switch $0 {
                case .byteCount(let byteCount): sizes.text(byteCount)
                case .share(let percent): quoted("\(percent)%")
                }
            })
    }()
}
