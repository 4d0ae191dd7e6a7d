import Synchronization

/// The call with `more` that a connection is executing, so that it ends when the peer goes away: nothing reads from a
/// connection while its call is executed, so nothing else would notice.
final class CurrentStream: Sendable {
    private struct State {
        var isClosed = false
        var task: Task<any Encodable & Sendable, any Error>?
    }

    private let state = Mutex(State())

    /// Called when the connection is closed: cancels the running call, and any that begins later.
    func connectionClosed() {
        state.withLock { state in
            state.isClosed = true
            return state.task
        }?.cancel()
    }

    /// Runs `body` until it returns, the connection is closed, or the caller's task is cancelled.
    func run(
        _ body: @escaping @Sendable () async throws -> any Encodable & Sendable
    ) async throws -> any Encodable & Sendable {
        let task = Task { try await body() }
        let isClosed = state.withLock { state in
            state.task = task
            return state.isClosed
        }
        if isClosed { task.cancel() }
        defer { state.withLock { $0.task = nil } }
        return try await withTaskCancellationHandler {
            try await task.value
        } onCancel: {
            task.cancel()
        }
    }
}
