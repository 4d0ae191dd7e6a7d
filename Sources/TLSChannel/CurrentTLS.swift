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
    private let count = HandshakeCount()

    /// - Parameter tls: the certificates.
    package init(_ tls: CurrentTLS) { self.tls = tls }

    /// The handler for a new connection.
    package func handler() -> any ChannelHandler { TLSChannelHandler(tls, count) }
}

/// Counts the handshakes in progress of a listener: each takes some 64 KB.
final class HandshakeCount: Sendable {
    static let maximum = 128
    private let count = Mutex(0)

    /// Begins one, unless there are as many as there may be.
    func begin() -> Bool {
        count.withLock {
            guard $0 < Self.maximum else { return false }
            $0 += 1
            return true
        }
    }

    func end() { count.withLock { $0 -= 1 } }
}
