internal import Base
package import NIOCore
internal import Synchronization
package import TLSHandshake

/// The certificates in force, for whoever begins a handshake: a reload replaces them.
package final class CurrentTLS: Sendable {
    private let value: Mutex<TLSContext?>

    package init(_ context: TLSContext?) { value = Mutex(context) }

    /// What handshakes go by; nil without certificates.
    package var context: TLSContext? { value.withLock { $0 } }

    package func replace(with context: TLSContext?) { value.withLock { $0 = context } }
}

/// What a listener puts before everything else in the pipelines of its connections.
package struct TLSChannels: Sendable {
    private let tls: CurrentTLS
    private let handshakes = Handshakes()
    private let failures: TLSFailures

    /// - Parameters:
    ///   - tls: the certificates.
    ///   - report: logs why a connection has failed, at most every ten seconds.
    package init(_ tls: CurrentTLS, report: @escaping @Sendable (String) -> Void = { _ in }) {
        self.tls = tls
        failures = TLSFailures(report: report)
    }

    /// The handler for a new connection.
    package func handler() -> any ChannelHandler { TLSChannelHandler(tls, handshakes, failures) }
}

/// The handshakes in progress of a listener: one ends for one more than there may be, so that those who say nothing more keep
/// nobody out.
final class Handshakes: Sendable {
    static let maximum = 128

    private struct State {
        var handshakes = HandshakesInProgress<ObjectIdentifier, String>()
        var channels: [ObjectIdentifier: any Channel] = [:]

        mutating func end(_ id: ObjectIdentifier) -> (any Channel)? {
            handshakes.end(id)
            return channels.removeValue(forKey: id)
        }
    }

    private let state = Mutex(State())

    /// Notes that one begins, and ends another for it if there are too many.
    func begin(_ channel: any Channel) {
        let now = NIODeadline.now().uptimeNanoseconds
        let ended = state.withLock { state -> (any Channel)? in
            var ended: (any Channel)?
            if state.handshakes.count >= Self.maximum, let id = state.handshakes.oneTooMany(at: now) {
                ended = state.end(id)
            }
            state.handshakes.begin(ObjectIdentifier(channel), from: channel.clientAddress, at: now)
            state.channels[ObjectIdentifier(channel)] = channel
            return ended
        }
        ended?.pipeline.fireUserInboundEventTriggered(TooManyHandshakes())
    }

    /// Notes that one is over.
    func end(_ channel: any Channel) { _ = state.withLock { $0.end(ObjectIdentifier(channel)) } }
}

/// Tells a channel that its handshake ends for that of another.
struct TooManyHandshakes {}

extension Channel {
    /// The address that counts as that of one client: of IPv6 the network of /64; nil if there is none.
    fileprivate var clientAddress: String? {
        guard let address = remoteAddress?.ipAddress else { return nil }
        return IPAddress(address).map { $0.client.description } ?? address
    }
}
