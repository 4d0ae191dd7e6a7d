import Glibc
import NIOCore
import Synchronization
import Varlink

/// An accepted connection: its bytes as an asynchronous sequence, and the identity of its peer.
struct AcceptedConnection: Sendable {
    /// The number of reads that may wait for the calls before them; then the peer has to wait.
    private static let backPressure = NIOAsyncSequenceProducerBackPressureStrategies.HighLowWatermark(
        lowWatermark: 1, highWatermark: 2)

    /// The input from the peer. Nothing is written through it; see ``VarlinkConnection``.
    let channel: NIOAsyncChannel<ByteBuffer, Never>
    /// The peer's identity; nil if the peer was gone already.
    let peer: PeerCredentials?

    /// Wraps a channel, on its event loop.
    init(_ channel: any Channel) throws {
        peer = try channel.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
            Self.credentials(ofPeerAt: $0)
        }.flatMap { $0 }
        self.channel = try NIOAsyncChannel(
            wrappingChannelSynchronously: channel,
            configuration: NIOAsyncChannel.Configuration(backPressureStrategy: Self.backPressure))
    }

    /// Closes the connection without reading from it.
    func close() async {
        try? await channel.executeThenClose { _ in }
    }

    private static func credentials(ofPeerAt descriptor: CInt) -> PeerCredentials? {
        // struct ucred, which Swift's Glibc doesn't import: pid_t, uid_t, gid_t, 32 bits each.
        var peer: (processID: pid_t, userID: uid_t, groupID: gid_t) = (0, 0, 0)
        var size = socklen_t(MemoryLayout.size(ofValue: peer))
        guard getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 else { return nil }
        return PeerCredentials(processID: peer.processID, userID: peer.userID, groupID: peer.groupID)
    }
}

/// The activity of a connection: whether it is executing a call, and whether it may begin another.
final class ConnectionActivity: Sendable {
    private struct State {
        var isBusy = false
        var isStopping = false
    }

    private let state = Mutex(State())

    /// Begins a call; false if no more calls are allowed.
    func begin() -> Bool {
        state.withLock { state in
            state.isBusy = !state.isStopping
            return state.isBusy
        }
    }

    /// Ends a call; false if it was the last one.
    func end() -> Bool {
        state.withLock { state in
            state.isBusy = false
            return !state.isStopping
        }
    }

    /// Allows no more calls; true if one is being executed.
    func stop() -> Bool {
        state.withLock { state in
            state.isStopping = true
            return state.isBusy
        }
    }
}

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
