import Synchronization
package import WebSocket

/// A message of a followed channel.
package struct FollowedMessage: Sendable {
    package var opcode: Opcode
    package var payload: [UInt8]
}

/// A follower of a channel, which is not a member: it gets the messages that clients of the `relay` protocol get.
final class Follower: Sendable {
    /// The maximum number of messages that wait for the reader, and of their bytes; messages beyond are lost to it.
    private static let bufferCount = 4_096
    private static let bufferByteCount = 16 * 1024 * 1024

    private struct Waiting {
        var messages: [FollowedMessage] = []
        /// The number of messages, including those that `forEach` has taken and not yet passed on.
        var count = 0
        var byteCount = 0
        var lost: UInt64 = 0
    }

    private let waiting = Mutex(Waiting())
    private let arrivals: AsyncStream<Void>
    private let arrival: AsyncStream<Void>.Continuation

    init() {
        (arrivals, arrival) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Adds the messages of a segment; the channel's home calls it.
    func take(_ segment: Segment) {
        waiting.withLock { waiting in
            segment.forEachFrame { opcode, payload in
                guard waiting.count < Self.bufferCount, waiting.byteCount + payload.count <= Self.bufferByteCount else {
                    waiting.lost += 1
                    return
                }
                waiting.count += 1
                waiting.byteCount += payload.count
                waiting.messages.append(FollowedMessage(opcode: opcode, payload: Array(payload)))
            }
        }
        arrival.yield()
    }

    /// Passes the messages to `body`, with the number of messages lost so far, until it throws or the task is
    /// cancelled.
    func forEach(_ body: (FollowedMessage, _ lost: UInt64) async throws -> Void) async throws {
        for await _ in arrivals {
            let messages = waiting.withLock { exchange(&$0.messages, with: []) }
            for message in messages {
                let lost = waiting.withLock { waiting in
                    waiting.count -= 1
                    waiting.byteCount -= message.payload.count
                    return waiting.lost
                }
                try await body(message, lost)
            }
        }
    }
}
