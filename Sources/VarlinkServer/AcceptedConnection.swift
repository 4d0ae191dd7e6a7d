import Glibc
import NIOCore
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
