import ArgumentParser

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
