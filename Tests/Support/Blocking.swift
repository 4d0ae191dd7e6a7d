import Glibc
import Testing

/// Marks tests that block their thread, as a simple client on a blocking socket does, or one that waits for a server
/// program. Swift's shared pool has one thread per CPU: two tests that wait there keep out all others, and are a deadlock
/// if they wait for one of them.
struct Blocking: TestTrait, SuiteTrait, TestScoping {
    let isRecursive = true

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        // What it waits for has another priority, too, so that it does not queue behind all tests that only compute.
        try await withoutActuallyEscaping(function) { function in
            let task = Task(executorPreference: BlockingThreads.shared, priority: .high) { try await function() }
            try await withTaskCancellationHandler {
                try await task.value
            } onCancel: {
                task.cancel()
            }
        }
    }
}

extension Trait where Self == Blocking {
    /// The tests may block their thread.
    static var blocking: Blocking { Blocking() }
}

/// Runs each job on a thread that does nothing else, of which there are as many as jobs that run at once.
private final class BlockingThreads: TaskExecutor, @unchecked Sendable {  // Its mutex guards all of it.
    static let shared = BlockingThreads()

    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let condition = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var jobs: [UnownedJob] = []
    private var idleThreadCount = 0

    private init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(condition, nil)
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        pthread_mutex_lock(mutex)
        jobs.append(job)
        let isThreadMissing = jobs.count > idleThreadCount
        if !isThreadMissing { pthread_cond_signal(condition) }
        pthread_mutex_unlock(mutex)
        if isThreadMissing { addThread() }
    }

    private func addThread() {
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { _ in
                BlockingThreads.shared.runJobs()
                return nil
            }, nil)
        precondition(result == 0, "pthread_create: \(result)")
        pthread_detach(thread)
    }

    private func runJobs() {
        while true {
            pthread_mutex_lock(mutex)
            while jobs.isEmpty {
                idleThreadCount += 1
                pthread_cond_wait(condition, mutex)
                idleThreadCount -= 1
            }
            let job = jobs.removeFirst()
            pthread_mutex_unlock(mutex)
            job.runSynchronously(on: asUnownedTaskExecutor())
        }
    }
}
