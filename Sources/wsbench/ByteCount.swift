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
