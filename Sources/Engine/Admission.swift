import Synchronization

/// Counts, across all workers, what the limits are about. Touched when a connection comes or goes, never per message.
final class Admission: Sendable {
    private let openCount = Atomic<Int>(0)
    /// Only used where there is a limit per address.
    private let perAddress = Mutex<[IPAddress: Int]>([:])
    private let maximum: Int
    private let maximumPerAddress: Int

    init(maximum: Int, maximumPerAddress: Int) {
        self.maximum = maximum
        self.maximumPerAddress = maximumPerAddress
    }

    var count: Int { openCount.load(ordering: .relaxed) }

    /// Lets a WebSocket in, or says which limit keeps it out.
    func admit(_ address: IPAddress) -> RefusalCause? {
        if openCount.add(1, ordering: .relaxed).newValue > maximum {
            openCount.subtract(1, ordering: .relaxed)
            return .connectionLimit
        }
        guard maximumPerAddress > 0 else { return nil }
        let isFull = perAddress.withLock { counts in
            let count = counts[address, default: 0]
            if count >= maximumPerAddress { return true }
            counts[address] = count + 1
            return false
        }
        guard isFull else { return nil }
        openCount.subtract(1, ordering: .relaxed)
        return .perAddressLimit
    }

    /// A WebSocket that was let in is gone.
    func leave(_ address: IPAddress) {
        openCount.subtract(1, ordering: .relaxed)
        guard maximumPerAddress > 0 else { return }
        perAddress.withLock { counts in
            let count = counts[address, default: 0] - 1
            counts[address] = count > 0 ? count : nil
        }
    }
}
