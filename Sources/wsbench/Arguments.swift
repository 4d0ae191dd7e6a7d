import ArgumentParser

/// A size on the command line: `128`, `512B`, `64KiB`, `1.5MiB`, `10kB`.
struct ByteCount: ExpressibleByArgument, Equatable {
    var bytes: Int

    private static let units: [(name: String, byteCount: Int)] = [
        ("", 1), ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("kB", 1000), ("MB", 1_000_000),
    ]

    init(_ bytes: Int) { self.bytes = bytes }

    init?(argument: String) {
        guard let (number, unit) = Number.split(argument), let byteCount = Self.units.first(where: { $0.name == unit }),
            number * Double(byteCount.byteCount) <= Double(1 << 40)
        else { return nil }
        let total = number * Double(byteCount.byteCount)
        guard total == total.rounded() else { return nil }
        bytes = Int(total)
    }

    var defaultValueDescription: String { text }

    /// The shortest text for this size.
    var text: String {
        for (name, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] where bytes > 0 && bytes % size == 0
        {
            return "\(bytes / size)\(name)"
        }
        return "\(bytes)"
    }
}

/// A length of time on the command line: `250ms`, `10s`, `1.5s`, `1m30s`, `1h`.
struct TimeSpan: ExpressibleByArgument, Equatable {
    var nanoseconds: UInt64

    private static let units: [(name: String, nanoseconds: Double)] = [
        ("h", 3.6e12), ("m", 6e10), ("s", 1e9), ("ms", 1e6), ("us", 1e3),
    ]

    init(seconds: Double) { nanoseconds = UInt64(seconds * 1e9) }

    init?(argument: String) {
        var rest = argument
        var total = 0.0
        var unitsLeft = Self.units[...]
        repeat {
            guard let (number, tail) = Number.split(rest) else { return nil }
            let name = tail.prefix { $0.isLetter }
            guard let place = unitsLeft.firstIndex(where: { $0.name == name }) else { return nil }
            total += number * unitsLeft[place].nanoseconds
            unitsLeft = unitsLeft[(place + 1)...]
            rest = String(tail.dropFirst(name.count))
        } while !rest.isEmpty
        guard total <= 86_400e9 else { return nil }
        nanoseconds = UInt64(total)
    }

    var seconds: Double { Double(nanoseconds) / 1e9 }

    var defaultValueDescription: String { text }

    /// The text for the command line.
    var text: String {
        if nanoseconds % 1_000_000_000 == 0 { return "\(nanoseconds / 1_000_000_000)s" }
        return nanoseconds % 1_000_000 == 0 ? "\(nanoseconds / 1_000_000)ms" : "\(nanoseconds / 1000)us"
    }
}

/// Decimal numbers in options.
enum Number {
    /// A number, perhaps with a fraction, and the text after it; nil if the text doesn't begin with a number.
    static func split(_ text: String) -> (number: Double, unit: String)? {
        let digits = text.prefix { $0.isASCII && $0.isNumber || $0 == "." }
        guard digits.first?.isNumber == true, digits.last != ".", digits.count <= 15,
            let number = Double(String(digits))
        else { return nil }
        return (number, String(text[digits.endIndex...]))
    }

    /// A number with a fixed number of decimals, rounded.
    static func fixed(_ value: Double, _ digits: Int) -> String {
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = (abs(value) * scale).rounded()
        guard scaled < 1e18 else { return "\(value)" }
        let number = Int(scaled)
        let sign = value < 0 && number > 0 ? "-" : ""
        guard digits > 0 else { return "\(sign)\(number)" }
        let fraction = String(number % Int(scale))
        return "\(sign)\(number / Int(scale))." + String(repeating: "0", count: digits - fraction.count) + fraction
    }
}

/// The number of connections opened per second: `500`, `500/s`; 0 means as many as possible.
struct ConnectRate: ExpressibleByArgument, Equatable {
    var perSecond: Double

    init(_ perSecond: Double) { self.perSecond = perSecond }

    init?(argument: String) {
        guard let (number, unit) = Number.split(argument), unit.isEmpty || unit == "/s" else { return nil }
        perSecond = number
    }

    var defaultValueDescription: String { perSecond == 0 ? "0" : "\(Number.fixed(perSecond, 0))/s" }
}

/// A number of messages of one size: `64KiBx20`.
struct Burst: ExpressibleByArgument, Equatable {
    var size: ByteCount
    var count: Int

    init?(argument: String) {
        guard let cross = argument.lastIndex(of: "x"), let size = ByteCount(argument: String(argument[..<cross])),
            let count = Int(argument[argument.index(after: cross)...]), 1...1_000_000 ~= count
        else { return nil }
        self.size = size
        self.count = count
    }
}
