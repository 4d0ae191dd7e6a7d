import Glibc
import Synchronization

/// Only a fault takes as long as this.
let deadline = Duration.seconds(240)

/// Something that a task hands to the thread that waits for it.
/// `@unchecked Sendable`: the value is written before the semaphore is posted, and read after it was waited for.
private final class Delivery<Value: Sendable>: @unchecked Sendable {
    private var value: Value?
    private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

    init() { sem_init(semaphore, 0, 0) }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    func put(_ new: Value) {
        value = new
        sem_post(semaphore)
    }

    func take(_ what: String) -> Value {
        var limit = timespec()
        clock_gettime(CLOCK_REALTIME, &limit)
        limit.tv_sec += Int(deadline.components.seconds)
        while sem_timedwait(semaphore, &limit) != 0 {
            require(errno == EINTR, "\(what): no end within \(deadline)")
        }
        return value!
    }
}

/// Has a task do something and waits for it, blocking.
func blocking<Value: Sendable>(_ what: String, _ body: @escaping @Sendable () async -> Value) -> Value {
    let delivery = Delivery<Value>()
    Task.detached { delivery.put(await body()) }
    return delivery.take(what)
}

/// Tasks that nobody waits for until the end.
final class Errands: Sendable {
    private let missing = Atomic(0)

    var areDone: Bool { missing.load(ordering: .acquiring) == 0 }

    @discardableResult
    func start(_ body: @escaping @Sendable () async -> Void) -> Task<Void, Never> {
        missing.add(1, ordering: .relaxed)
        return Task.detached {
            await body()
            self.missing.subtract(1, ordering: .releasing)
        }
    }
}
