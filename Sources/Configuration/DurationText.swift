/// Durations as written in the configuration: "250ms", "10s", "1.5s", "1m30s", "1h", "1d".
enum DurationText {
    private static let units: [(name: String, milliseconds: Int64)] = [
        ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1),
    ]

    /// The duration that a text means: numbers with units, larger units first, a fraction only in the last one.
    static func parse(_ text: String) throws(InvalidValue) -> Duration {
        let shown = quoted(text)
        var rest = Substring(text)
        var total: Int64 = 0
        var unitsLeft = units[...]
        guard !rest.isEmpty else {
            throw InvalidValue("\"\" is no duration; write one such as \"10s\"")
        }
        while !rest.isEmpty {
            let whole = takeDigits(from: &rest)
            var fraction: Substring?
            if rest.first == "." {
                rest.removeFirst()
                fraction = takeDigits(from: &rest)
            }
            guard !whole.isEmpty, fraction != "" else {
                throw InvalidValue("\(shown) is no duration; write a number and a unit, such as \"10s\" or \"1m30s\"")
            }
            let unitName = rest.prefix { !($0.isDigit || $0 == ".") }
            rest.removeFirst(unitName.count)
            guard !unitName.isEmpty else {
                throw InvalidValue(
                    "\(shown) has no unit; for seconds write \"\(text)s\", for milliseconds \"\(text)ms\"")
            }
            guard let unit = units.first(where: { $0.name == unitName }) else {
                throw InvalidValue("\(shown): \(quoted(unitName)) is no unit; the units are d, h, m, s and ms")
            }
            guard let place = unitsLeft.firstIndex(where: { $0.name == unitName }) else {
                throw InvalidValue("\(shown): write larger units first and each once, such as \"1m30s\"")
            }
            unitsLeft = unitsLeft[(place + 1)...]
            guard fraction == nil || rest.isEmpty else {
                throw InvalidValue("\(shown): only the last number may have a fraction")
            }
            total += try milliseconds(whole, fraction, of: unit.milliseconds, in: text)
        }
        return .milliseconds(total)
    }

    private static func takeDigits(from text: inout Substring) -> Substring {
        let digits = text.prefix(while: \.isDigit)
        text.removeFirst(digits.count)
        return digits
    }

    private static func milliseconds(
        _ whole: Substring, _ fraction: Substring?, of unit: Int64, in text: String
    ) throws(InvalidValue) -> Int64 {
        // Some thirty years, so that nothing below overflows.
        guard let number = Int64(whole), number <= 1_000_000_000_000 / unit else {
            throw InvalidValue("\(quoted(text)) is too long; a duration has 11574d at most")
        }
        let digits = String((fraction ?? "").reversed().drop { $0 == "0" }.reversed())
        var scale: Int64 = 1
        for _ in digits.prefix(10) { scale *= 10 }
        let product = (Int64(digits.prefix(10)) ?? 0) * unit
        guard digits.count <= 10, product % scale == 0 else {
            throw InvalidValue("\(quoted(text)) is finer than a millisecond; round it")
        }
        return number * unit + product / scale
    }

    /// The shortest text that parses to a duration of whole milliseconds, 0 or more.
    static func text(_ duration: Duration) -> String {
        let (seconds, attoseconds) = duration.components
        var rest = seconds * 1000 + attoseconds / 1_000_000_000_000_000
        guard rest > 0 else { return "0s" }
        guard rest % 1000 == 0 || rest > 1000 else { return "\(rest)ms" }
        var result = ""
        for unit in units.dropLast(2) where rest >= unit.milliseconds {
            result += "\(rest / unit.milliseconds)\(unit.name)"
            rest %= unit.milliseconds
        }
        if rest % 1000 != 0 {
            let digits = "\(1000 + rest % 1000)".dropFirst()
            let fraction = String(digits.reversed().drop { $0 == "0" }.reversed())
            result += "\(rest / 1000).\(fraction)s"
        } else if rest > 0 {
            result += "\(rest / 1000)s"
        }
        return result
    }
}
