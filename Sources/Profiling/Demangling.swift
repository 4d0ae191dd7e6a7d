internal import Glibc

@_silgen_name("swift_demangle")
private func swiftDemangle(
    _ name: UnsafePointer<CChar>, _ length: Int, _ buffer: UnsafeMutablePointer<CChar>?,
    _ bufferLength: UnsafeMutablePointer<Int>?, _ flags: UInt32
) -> UnsafeMutablePointer<CChar>?

/// Turns symbols into readable names.
enum Demangling {
    /// The name of a Swift symbol as written in Swift, without types; any other symbol unchanged.
    static func name(of symbol: String) -> String {
        let length = symbol.utf8.count
        guard let demangled = symbol.withCString({ swiftDemangle($0, length, nil, nil, 0) }) else { return symbol }
        defer { free(demangled) }
        return shortened(String(cString: demangled))
    }

    /// Removes the types: "M.f(a: Swift.Int, _: [M.T]) -> ()" becomes "M.f(a:_:)".
    static func shortened(_ name: String) -> String {
        var result = ""
        var rest = Substring(name)
        while let character = rest.first {
            if rest.hasPrefix(" -> ") || rest.hasPrefix(" throws") || rest.hasPrefix(" async") {
                // Skips to the context, as in "closure #1 () -> () in M.f".
                guard let context = rest.range(of: " in ") else { break }
                rest = rest[context.lowerBound...]
                if rest.hasPrefix(" in ") {
                    result += " in "
                    rest = rest.dropFirst(4)
                }
            } else if character == "(", let close = closing(rest) {
                let inner = rest[rest.index(after: rest.startIndex)..<close]
                if let context = inner.range(of: " in _") {
                    // A private name: "(name in _0123ABCD)".
                    result += inner[..<context.lowerBound]
                } else {
                    result += "(\(labels(inner)))"
                }
                rest = rest[rest.index(after: close)...]
            } else {
                result.append(character)
                rest.removeFirst()
            }
        }
        return result
    }

    private static func closing(_ text: Substring) -> Substring.Index? {
        var depth = 0
        for index in text.indices {
            switch text[index] {
            case "(", "[", "<": depth += 1
            case ">" where index > text.startIndex && text[text.index(before: index)] == "-": break
            case ")", "]", ">":
                depth -= 1
                if depth == 0 { return index }
            default: break
            }
        }
        return nil
    }

    private static func labels(_ parameters: Substring) -> String {
        var depth = 0
        var start = parameters.startIndex
        var parts: [Substring] = []
        var last: Character = " "
        for index in parameters.indices {
            switch parameters[index] {
            case "(", "[", "<": depth += 1
            case ">" where last == "-": break
            case ")", "]", ">": depth -= 1
            case "," where depth == 0:
                parts.append(parameters[start..<index])
                start = parameters.index(after: index)
            default: break
            }
            last = parameters[index]
        }
        if !parameters.isEmpty { parts.append(parameters[start...]) }
        return parts.map { part in
            let trimmed = part.drop { $0 == " " }
            guard let colon = trimmed.firstIndex(of: ":"),
                trimmed[..<colon].allSatisfy({ $0.isLetter || $0.isNumber || $0 == "_" })
            else { return "_:" }
            return "\(trimmed[..<colon]):"
        }.joined()
    }
}

extension Substring {
    /// The first occurrence of another text.
    fileprivate func range(of text: String) -> Range<Index>? {
        var start = startIndex
        while start < endIndex {
            if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
            formIndex(after: &start)
        }
        return nil
    }
}
