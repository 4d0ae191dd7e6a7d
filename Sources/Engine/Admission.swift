import Synchronization

/// Counts, across all workers, what the limits are about. Touched when a connection comes or goes, never per message.
///
/// A connection counts from the moment that it is accepted: first as one that opens, until it is let in or refused, then as one
/// that is open. Both together are bounded. In all, some more than there is room for may open, to be told so; of an address,
/// those that a browser begins at once, however small its limit is.
final class Admission: Sendable {
    /// Whether a WebSocket is let in.
    enum Answer {
        /// - Parameter isCounted: whether it counts among those of its address.
        case admitted(isCounted: Bool)
        case refused(RefusalCause)
    }

    /// The connections of one address.
    private struct Counts {
        var opening = 0
        var open = 0
    }

    private let openCount = Atomic<Int>(0)
    private let openingCount = Atomic<Int>(0)
    /// Only used where there is a limit per address.
    private let perAddress = Mutex<[IPAddress: Counts]>([:])
    private let limit: Atomic<Int>
    private let limitPerAddress: Atomic<Int>
    private let exemptsLoopback: Atomic<Bool>

    /// Connections that an address may have while some of them open, however small its limit is: a browser begins six at once.
    private static let fewest = 8

    init(maximum: Int, maximumPerAddress: Int, exemptsLoopback: Bool) {
        limit = Atomic(maximum)
        limitPerAddress = Atomic(maximumPerAddress)
        self.exemptsLoopback = Atomic(exemptsLoopback)
    }

    var count: Int { openCount.load(ordering: .relaxed) }
    /// The most WebSockets there may be.
    var maximum: Int { limit.load(ordering: .relaxed) }
    /// Whether the connections of each address are counted.
    var countsAddresses: Bool { limitPerAddress.load(ordering: .relaxed) > 0 }

    /// Other limits hold from now on. Those who are in stay, and where addresses begin to be counted, the workers count
    /// those who are in already.
    func setLimits(maximum: Int, maximumPerAddress: Int, exemptsLoopback: Bool) {
        limit.store(maximum, ordering: .relaxed)
        limitPerAddress.store(maximumPerAddress, ordering: .relaxed)
        self.exemptsLoopback.store(exemptsLoopback, ordering: .relaxed)
        if maximumPerAddress == 0 { perAddress.withLock { $0 = [:] } }
    }

    /// The most connections of an address; nil for one that is not limited.
    private func maximum(for address: IPAddress) -> Int? {
        let maximum = limitPerAddress.load(ordering: .relaxed)
        guard maximum > 0, !(address.isLoopback && exemptsLoopback.load(ordering: .relaxed)) else { return nil }
        return maximum
    }

    /// A connection has been accepted, from an address that may be a trusted proxy's.
    ///
    /// - Parameter isProxy: whether its address says nothing of the client's.
    func begin(_ address: IPAddress, isProxy: Bool) -> Answer {
        let maximum = maximum
        if openingCount.add(1, ordering: .relaxed).newValue + count > maximum + max(64, maximum / 16) {
            openingCount.subtract(1, ordering: .relaxed)
            return .refused(.connectionLimit)
        }
        guard !isProxy, let most = self.maximum(for: address) else { return .admitted(isCounted: false) }
        let isFull = perAddress.withLock { counts in
            let known = counts[address.client, default: Counts()]
            if known.opening + known.open >= max(most, Self.fewest) { return true }
            counts[address.client, default: Counts()].opening += 1
            return false
        }
        guard isFull else { return .admitted(isCounted: true) }
        openingCount.subtract(1, ordering: .relaxed)
        return .refused(.perAddressLimit)
    }

    /// A connection no longer opens: it is let in, or it isn't.
    func endOpening(_ address: IPAddress, isCounted: Bool) {
        openingCount.subtract(1, ordering: .relaxed)
        if isCounted { change(address) { $0.opening -= 1 } }
    }

    /// Lets a WebSocket in, or says which limit keeps it out.
    func admit(_ address: IPAddress) -> Answer {
        if openCount.add(1, ordering: .relaxed).newValue > maximum {
            openCount.subtract(1, ordering: .relaxed)
            return .refused(.connectionLimit)
        }
        guard let most = maximum(for: address) else { return .admitted(isCounted: false) }
        let isFull = perAddress.withLock { counts in
            let known = counts[address.client, default: Counts()]
            if known.opening + known.open >= most { return true }
            counts[address.client, default: Counts()].open += 1
            return false
        }
        guard isFull else { return .admitted(isCounted: true) }
        openCount.subtract(1, ordering: .relaxed)
        return .refused(.perAddressLimit)
    }

    /// Counts one who was let in before addresses were counted; whether it counts.
    func note(_ address: IPAddress) -> Bool {
        guard maximum(for: address) != nil else { return false }
        perAddress.withLock { $0[address.client, default: Counts()].open += 1 }
        return true
    }

    /// A WebSocket that was let in is gone.
    func leave(_ address: IPAddress, isCounted: Bool) {
        openCount.subtract(1, ordering: .relaxed)
        if isCounted { change(address) { $0.open -= 1 } }
    }

    private func change(_ address: IPAddress, _ change: (inout Counts) -> Void) {
        perAddress.withLock { all in
            guard var counts = all[address.client] else { return }
            change(&counts)
            all[address.client] = counts.opening > 0 || counts.open > 0 ? counts : nil
        }
    }
}
