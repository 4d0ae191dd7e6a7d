/// The handshakes in progress of a worker or a listener, the oldest first. Each takes some 96 KB, so that there is a limit, and
/// beyond that one ends for each that begins.
///
/// If an address has more than `fewest`, one of its own ends, so that a client that begins many and finishes none shuts out
/// only itself. Otherwise the oldest of all ends, if it is older than a round trip: its client is probably silent. If all are
/// younger, one is chosen at random. Ending by age would then end every handshake before its client could answer.
package struct HandshakesInProgress<ID: Equatable, Address: Hashable> {
    private struct Entry {
        var id: ID
        var address: Address?
        var begunAt: UInt64
    }

    private var entries: ContiguousArray<Entry> = []
    private var counts: [Address: Int] = [:]

    /// The number of handshakes that an address may have without counting as one that has many: what a browser begins at once,
    /// and a little more.
    package static var fewest: Int { 8 }
    /// The time of a round trip, in nanoseconds.
    package static var roundTrip: UInt64 { 250_000_000 }

    package init() {}

    package var count: Int { entries.count }

    /// Notes that one begins, at a time in nanoseconds.
    ///
    /// - Parameter address: nil if it is that of many clients, such as a proxy's.
    package mutating func begin(_ id: ID, from address: Address?, at now: UInt64) {
        entries.append(Entry(id: id, address: address, begunAt: now))
        if let address { counts[address, default: 0] += 1 }
    }

    /// Notes that one is over.
    package mutating func end(_ id: ID) {
        guard let index = entries.firstIndex(where: { $0.id == id }) else { return }
        guard let address = entries.remove(at: index).address else { return }
        let rest = (counts[address] ?? 1) - 1
        counts[address] = rest > 0 ? rest : nil
    }

    /// The one that has to end for another; nil if there is none.
    package func oneTooMany(at now: UInt64, using generator: inout some RandomNumberGenerator) -> ID? {
        let most = counts.values.max() ?? 0
        let candidates =
            most > Self.fewest ? entries.filter { $0.address.flatMap { counts[$0] } == most } : entries
        guard let oldest = candidates.first else { return nil }
        let isOld = now >= oldest.begunAt + Self.roundTrip
        return isOld ? oldest.id : candidates.randomElement(using: &generator)?.id
    }

    /// The one that has to end for another, by the system's random numbers; nil if there is none.
    package func oneTooMany(at now: UInt64) -> ID? {
        var generator = SystemRandomNumberGenerator()
        return oneTooMany(at: now, using: &generator)
    }
}
