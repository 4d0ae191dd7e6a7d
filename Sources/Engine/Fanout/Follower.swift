import Glibc
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

/// The rate of events, as a decaying average: an event that is `period` ago counts a third of a new one.
struct Activity {
    /// The time constant of the decay, in seconds.
    private static let period = 5.0

    private(set) var total: UInt64 = 0
    private var weighted = 0.0
    private var at: UInt64 = 0

    /// - Parameter now: the time in nanoseconds of the monotonic clock.
    mutating func note(_ count: Int, at now: UInt64) {
        weighted = faded(now) + Double(count)
        at = now
        total &+= UInt64(count)
    }

    /// The number of events per second.
    func perSecond(at now: UInt64) -> Double { faded(now) / Self.period }

    private func faded(_ now: UInt64) -> Double {
        weighted == 0 ? 0 : weighted * exp(-Double(now > at ? now - at : 0) / 1e9 / Self.period)
    }
}
