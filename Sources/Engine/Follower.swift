import Synchronization
package import WebSocket

/// A message of a channel that is followed.
package struct FollowedMessage: Sendable {
    package var opcode: Opcode
    package var payload: [UInt8]
}

/// Who follows a channel without being in it: gets what clients of the `relay` protocol get.
final class Follower: Sendable {
    /// Messages that wait for a reader, and their bytes; what comes beyond is lost to it.
    private static let bufferCount = 4_096
    private static let bufferByteCount = 16 * 1024 * 1024

    private let stream: AsyncStream<FollowedMessage>
    private let continuation: AsyncStream<FollowedMessage>.Continuation
    private let waitingByteCount = Atomic(0)
    private let lostCount = Atomic<UInt64>(0)

    init() {
        (stream, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.bufferCount))
    }

    /// How many messages came too fast.
    var lost: UInt64 { lostCount.load(ordering: .relaxed) }

    /// The channel's home has something for it.
    func take(_ segment: Segment) {
        segment.forEachFrame { opcode, payload in
            guard waitingByteCount.load(ordering: .relaxed) + payload.count <= Self.bufferByteCount else {
                lostCount.add(1, ordering: .relaxed)
                return
            }
            waitingByteCount.add(payload.count, ordering: .relaxed)
            if case .dropped = continuation.yield(FollowedMessage(opcode: opcode, payload: Array(payload))) {
                waitingByteCount.subtract(payload.count, ordering: .relaxed)
                lostCount.add(1, ordering: .relaxed)
            }
        }
    }

    /// Hands the messages over until cancelled or thrown out of.
    func forEach(_ body: (FollowedMessage) async throws -> Void) async throws {
        for await message in stream {
            waitingByteCount.subtract(message.payload.count, ordering: .relaxed)
            try await body(message)
        }
    }
}
