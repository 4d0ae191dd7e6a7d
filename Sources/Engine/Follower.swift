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

    private struct Waiting {
        var messages: [FollowedMessage] = []
        /// With those that its reader has taken and not yet seen.
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

    /// The channel's home has something for it.
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

    /// Hands the messages over, and how many came too fast by then, until cancelled or thrown out of.
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
