/// Sizes as written in the configuration: "64KiB", "1.5MiB", "10kB", or a plain number of bytes.
enum ByteCountText {
    private static let units: [(name: String, byteCount: Int)] = [
        ("B", 1),
        ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40),
        ("kB", 1000), ("MB", 1_000_000), ("GB", 1_000_000_000), ("TB", 1_000_000_000_000),
    ]

    /// The number of bytes that a text means.
    static func parse(_ text: String) throws(InvalidValue) -> Int {
        let shown = quoted(text)
        let number = text.prefix { $0.isDigit || $0 == "." }
        let unitName = text[number.endIndex...]
        let parts = number.split(separator: ".", omittingEmptySubsequences: false)
        guard let whole = parts.first, !whole.isEmpty, parts.count <= 2, parts.last != "" else {
            throw InvalidValue("\(shown) is no size; write a number and a unit, such as \"64KiB\"")
        }
        guard !unitName.isEmpty else {
            throw InvalidValue("\(shown) has no unit; write \"\(text)KiB\", or for bytes \"\(text)B\"")
        }
        guard let unit = units.first(where: { $0.name == unitName }) else {
            throw InvalidValue("\(shown): \(quoted(unitName)) is no unit; \(advice(on: unitName, after: number))")
        }
        // With at most twelve digits and a fraction of nine, every product below stays within 64 bits or is caught by
        // the checks.
        guard whole.count <= 12, let count = Int(whole), count <= (1 << 50) / unit.byteCount else {
            throw InvalidValue("\(shown) is too large; a size has 12 digits and 1024TiB at most")
        }
        var total = count * unit.byteCount
        if parts.count == 2 {
            var scale = 1
            for _ in parts[1].prefix(7) { scale *= 10 }
            let (product, overflow) = (Int(parts[1].prefix(7)) ?? 0).multipliedReportingOverflow(by: unit.byteCount)
            guard parts[1].count <= 7, !overflow, product % scale == 0 else {
                throw InvalidValue("\(shown) is no whole number of bytes; round it")
            }
            total += product / scale
        }
        return total
    }

    private static func advice(on unitName: Substring, after number: Substring) -> String {
        let key = unitName.lowercased().filter { $0.isLetter }
        let meant = units.map(\.name).filter { name in
            let name = name.lowercased()
            return name == key || name == key + "b" || name == key + "ib" || (key.count == 2 && name.first == key.first)
        }
        let fitting = meant.isEmpty ? ["KiB", "MiB"] : meant.filter { $0 != "B" || meant.count == 1 }
        return "write " + fitting.map { "\"\(number)\($0)\"" }.joined(separator: " or ")
    }

    /// The TOML value for a number of bytes: in the largest power of 1024 that divides it, or else as a plain number.
    static func text(_ byteCount: Int) -> String {
        for unit in units[1...4].reversed() where byteCount > 0 && byteCount % unit.byteCount == 0 {
            return quoted("\(byteCount / unit.byteCount)\(unit.name)")
        }
        return String(byteCount)
    }
}
