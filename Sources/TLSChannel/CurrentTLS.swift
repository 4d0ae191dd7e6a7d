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

    /// - Parameter tls: the certificates.
    package init(_ tls: CurrentTLS) { self.tls = tls }

    /// The handler for a new connection.
    package func handler() -> any ChannelHandler { TLSChannelHandler(tls, handshakes) }
}

/// The handshakes in progress of a listener, each of which takes some 96 KB: the oldest ends for one more than there may be, so
/// that those who say nothing more keep nobody out.
final class Handshakes: Sendable {
    static let maximum = 128
    /// The channels of those in progress, the oldest first.
    private let channels = Mutex<[any Channel]>([])

    /// Notes that one begins.
    func begin(_ channel: any Channel) {
        let oldest = channels.withLock { channels in
            channels.append(channel)
            return channels.count > Self.maximum ? channels.removeFirst() : nil
        }
        oldest?.close(promise: nil)
    }

    /// Notes that one is over.
    func end(_ channel: any Channel) { channels.withLock { $0.removeAll { $0 === channel } } }
}
