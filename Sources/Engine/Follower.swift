import Synchronization
package import WebSocket

/// A message of a channel that is followed.
package struct FollowedMessage: Sendable {
    package var opcode: Opcode
    package var payload: [UInt8]
}

/// Who follows a channel without being in it: gets what clients of the `relay` protocol get.
///
/// `@unchecked` is not needed: the stream's buffer is the only thing that changes, and it has its own lock.
final class Follower: Sendable {
    /// Messages that wait for a reader; what comes beyond is lost to it.
    private static let bufferCount = 4_096

    let messages: AsyncStream<FollowedMessage>
    private let continuation: AsyncStream<FollowedMessage>.Continuation
    private let lostCount = Atomic<UInt64>(0)

    init() {
        (messages, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(Self.bufferCount))
    }

    /// How many messages came too fast.
    var lost: UInt64 { lostCount.load(ordering: .relaxed) }

    func take(_ segment: Segment) {
        segment.forEachFrame { opcode, payload in
            let message = FollowedMessage(opcode: opcode, payload: Array(payload))
            if case .dropped = continuation.yield(message) { lostCount.add(1, ordering: .relaxed) }
        }
    }

}
