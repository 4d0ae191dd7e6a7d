import Glibc
import Testing

/// Marks tests that block their thread, as a simple client on a blocking socket does: each of their jobs gets a thread of
/// its own. Swift's shared pool has one thread per CPU; two tests that wait there for a third task are a deadlock.
struct Blocking: TestTrait, SuiteTrait, TestScoping {
    let isRecursive = true

    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        try await withTaskExecutorPreference(ThreadPerJob()) { try await function() }
    }
}

extension Trait where Self == Blocking {
    /// The tests may block their thread.
    static var blocking: Blocking { Blocking() }
}

/// Runs every job on a new thread.
private final class ThreadPerJob: TaskExecutor {
    private final class Start {
        let job: UnownedJob
        let executor: UnownedTaskExecutor

        init(_ job: UnownedJob, _ executor: UnownedTaskExecutor) {
            self.job = job
            self.executor = executor
        }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let start = Unmanaged.passRetained(Start(UnownedJob(job), asUnownedTaskExecutor())).toOpaque()
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { argument in
                let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
                start.job.runSynchronously(on: start.executor)
                return nil
            }, start)
        precondition(result == 0, "pthread_create: \(result)")
        pthread_detach(thread)
    }
}
