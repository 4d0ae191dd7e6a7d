import Base
import Synchronization

/// Counts connections across all workers and applies the limits. It is used when a connection opens or ends, never per
/// message.
///
/// A connection counts from the moment that it is accepted: first as opening, until it is admitted or refused, then as
/// open. The limits apply to the sum of both. In total, some connections beyond the limit may be opening, so that they
/// get a proper refusal; an address may always have as many as a browser begins at once, however small its limit is.
///
/// One that is not admitted counts as ending from its answer on, until it is closed: an address may have as many of these as
/// it may have others, and they take none of its places.
final class Admission: Sendable {
    /// The decision on a connection.
    enum Answer {
        /// - Parameter isCounted: whether the connection counts towards the limit of its address.
        case admitted(isCounted: Bool)
        case refused(RefusalCause)
    }

    /// The connections of one address.
    private struct Counts {
        var opening = 0
        var open = 0
        var ending = 0
    }

    private let openCount = Atomic<Int>(0)
    private let openingCount = Atomic<Int>(0)
    /// Only used if there is a limit per address.
    private let perAddress = Mutex<[IPAddress: Counts]>([:])
    private let limit: Atomic<Int>
    private let limitPerAddress: Atomic<Int>
    private let exemptsLoopback: Atomic<Bool>

    /// The number of connections that an address may have while some of them are opening, however small its limit is: a
    /// browser begins six at once.
    private static let fewest = 8

    init(maximum: Int, maximumPerAddress: Int, exemptsLoopback: Bool) {
        limit = Atomic(maximum)
        limitPerAddress = Atomic(maximumPerAddress)
        self.exemptsLoopback = Atomic(exemptsLoopback)
    }

    var count: Int { openCount.load(ordering: .relaxed) }
    /// The maximum number of open WebSockets.
    var maximum: Int { limit.load(ordering: .relaxed) }
    /// Whether the connections of each address are counted.
    var countsAddresses: Bool { limitPerAddress.load(ordering: .relaxed) > 0 }

    /// Applies new limits. Admitted connections stay; when counting by address begins, the workers count those that are
    /// open already.
    func setLimits(maximum: Int, maximumPerAddress: Int, exemptsLoopback: Bool) {
        limit.store(maximum, ordering: .relaxed)
        limitPerAddress.store(maximumPerAddress, ordering: .relaxed)
        self.exemptsLoopback.store(exemptsLoopback, ordering: .relaxed)
        if maximumPerAddress == 0 { perAddress.withLock { $0 = [:] } }
    }

    /// The maximum number of connections of an address; nil for one that is not limited, such as that of a Unix socket, at
    /// which all clients come through a proxy.
    private func maximum(for address: IPAddress) -> Int? {
        let maximum = limitPerAddress.load(ordering: .relaxed)
        guard maximum > 0, address != .none, !(address.isLoopback && exemptsLoopback.load(ordering: .relaxed)) else {
            return nil
        }
        return maximum
    }

    /// Counts an accepted connection as opening; its address may be that of a trusted proxy.
    ///
    /// - Parameter isProxy: whether the address is a proxy's instead of the client's.
    func begin(_ address: IPAddress, isProxy: Bool) -> Answer {
        let maximum = maximum
        if openingCount.add(1, ordering: .relaxed).newValue + count > maximum + max(64, maximum / 16) {
            openingCount.subtract(1, ordering: .relaxed)
            return .refused(.connectionLimit)
        }
        guard !isProxy, let most = self.maximum(for: address) else { return .admitted(isCounted: false) }
        let isFull = perAddress.withLock { counts in
            let known = counts[address.client, default: Counts()]
            if max(known.opening + known.open, known.ending) >= max(most, Self.fewest) { return true }
            counts[address.client, default: Counts()].opening += 1
            return false
        }
        guard isFull else { return .admitted(isCounted: true) }
        openingCount.subtract(1, ordering: .relaxed)
        return .refused(.perAddressLimit)
    }

    /// Ends the opening of a connection, whether it is admitted or not.
    func endOpening(_ address: IPAddress, isCounted: Bool) {
        openingCount.subtract(1, ordering: .relaxed)
        if isCounted { change(address) { $0.opening -= 1 } }
    }

    /// Counts a connection as ending that has its answer. Returns whether it counts.
    ///
    /// - Parameter isProxy: as of `begin`.
    func beginEnding(_ address: IPAddress, isProxy: Bool) -> Bool {
        guard !isProxy else { return false }
        return perAddress.withLock { counts in
            // Here, for a reload that ends counting forgets everything in this lock.
            guard maximum(for: address) != nil else { return false }
            counts[address.client, default: Counts()].ending += 1
            return true
        }
    }

    /// Removes a connection that counted as ending.
    func endEnding(_ address: IPAddress) { change(address) { $0.ending -= 1 } }

    /// Admits a WebSocket, or returns the limit that refuses it.
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

    /// Counts a connection that was admitted before counting by address began. Returns whether it counts.
    func note(_ address: IPAddress) -> Bool {
        guard maximum(for: address) != nil else { return false }
        perAddress.withLock { $0[address.client, default: Counts()].open += 1 }
        return true
    }

    /// Counts a WebSocket that an earlier process has admitted, whatever the limits are now. Returns whether it counts
    /// towards the limit of its address.
    func adopt(_ address: IPAddress) -> Bool {
        openCount.add(1, ordering: .relaxed)
        return note(address)
    }

    /// Removes an admitted WebSocket that has ended.
    func leave(_ address: IPAddress, isCounted: Bool) {
        openCount.subtract(1, ordering: .relaxed)
        if isCounted { change(address) { $0.open -= 1 } }
    }

    private func change(_ address: IPAddress, _ change: (inout Counts) -> Void) {
        perAddress.withLock { all in
            guard var counts = all[address.client] else { return }
            change(&counts)
            all[address.client] = max(counts.opening, counts.open, counts.ending) > 0 ? counts : nil
        }
    }
}
