import Synchronization

/// Counts, across all workers, what the limits are about. Touched when a connection comes or goes, never per message.
final class Admission: Sendable {
    /// Whether a WebSocket is let in.
    enum Answer {
        /// - Parameter isCounted: whether it counts among those of its address.
        case admitted(isCounted: Bool)
        case refused(RefusalCause)
    }

    private let openCount = Atomic<Int>(0)
    /// Only used where there is a limit per address.
    private let perAddress = Mutex<[IPAddress: Int]>([:])
    private let limit: Atomic<Int>
    private let limitPerAddress: Atomic<Int>

    init(maximum: Int, maximumPerAddress: Int) {
        limit = Atomic(maximum)
        limitPerAddress = Atomic(maximumPerAddress)
    }

    var count: Int { openCount.load(ordering: .relaxed) }
    /// The most WebSockets there may be.
    var maximum: Int { limit.load(ordering: .relaxed) }
    /// Whether the connections of each address are counted.
    var countsAddresses: Bool { limitPerAddress.load(ordering: .relaxed) > 0 }

    /// Other limits hold from now on. Those who are in stay, and where addresses begin to be counted, the workers count
    /// those who are in already.
    func setLimits(maximum: Int, maximumPerAddress: Int) {
        limit.store(maximum, ordering: .relaxed)
        limitPerAddress.store(maximumPerAddress, ordering: .relaxed)
        if maximumPerAddress == 0 { perAddress.withLock { $0 = [:] } }
    }

    /// Lets a WebSocket in, or says which limit keeps it out.
    func admit(_ address: IPAddress) -> Answer {
        if openCount.add(1, ordering: .relaxed).newValue > maximum {
            openCount.subtract(1, ordering: .relaxed)
            return .refused(.connectionLimit)
        }
        let maximumPerAddress = limitPerAddress.load(ordering: .relaxed)
        guard maximumPerAddress > 0 else { return .admitted(isCounted: false) }
        let isFull = perAddress.withLock { counts in
            let count = counts[address, default: 0]
            if count >= maximumPerAddress { return true }
            counts[address] = count + 1
            return false
        }
        guard isFull else { return .admitted(isCounted: true) }
        openCount.subtract(1, ordering: .relaxed)
        return .refused(.perAddressLimit)
    }

    /// Counts one who was let in before addresses were counted.
    func note(_ address: IPAddress) { perAddress.withLock { $0[address, default: 0] += 1 } }

    /// A WebSocket that was let in is gone.
    func leave(_ address: IPAddress, isCounted: Bool) {
        openCount.subtract(1, ordering: .relaxed)
        guard isCounted else { return }
        perAddress.withLock { counts in
            guard let count = counts[address] else { return }
            counts[address] = count > 1 ? count - 1 : nil
        }
    }
}
