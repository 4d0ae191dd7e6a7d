/// The handshakes in progress of a worker or a listener, the oldest first. Each takes some 96 KB, so that there is a limit, and
/// one more than that is one for another.
///
/// It is the oldest of the address with the most, so that whoever begins many and ends none keeps only their own out.
package struct HandshakesInProgress<ID: Equatable, Address: Hashable> {
    private struct Entry {
        var id: ID
        var address: Address
        var begunAt: UInt64
    }

    private var entries: ContiguousArray<Entry> = []
    private var counts: [Address: Int] = [:]

    /// The time for which a handshake is left alone whose address has no other, in nanoseconds: a round trip. Where very many
    /// come at once, each would otherwise end before its client can answer.
    package static var roundTrip: UInt64 { 250_000_000 }

    package init() {}

    package var count: Int { entries.count }

    /// Notes that one begins, at a time in nanoseconds.
    package mutating func begin(_ id: ID, from address: Address, at now: UInt64) {
        entries.append(Entry(id: id, address: address, begunAt: now))
        counts[address, default: 0] += 1
    }

    /// Notes that one is over.
    package mutating func end(_ id: ID) {
        guard let index = entries.firstIndex(where: { $0.id == id }) else { return }
        let address = entries.remove(at: index).address
        let rest = (counts[address] ?? 1) - 1
        counts[address] = rest > 0 ? rest : nil
    }

    /// The one that has to end for another; nil if that one has to wait for its turn.
    package func oneTooMany(at now: UInt64) -> ID? {
        let most = counts.values.max() ?? 0
        guard let oldest = entries.first(where: { counts[$0.address] == most }) else { return nil }
        return most > 1 || now >= oldest.begunAt + Self.roundTrip ? oldest.id : nil
    }
}
