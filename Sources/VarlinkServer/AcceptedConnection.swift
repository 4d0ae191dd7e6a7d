import Glibc
import NIOCore
import Varlink

/// A connection as it was accepted: its bytes as an asynchronous sequence, and who sits at the other end.
struct AcceptedConnection: Sendable {
    /// How many reads may wait for the call before them to be done; then the peer has to wait.
    private static let backPressure = NIOAsyncSequenceProducerBackPressureStrategies.HighLowWatermark(
        lowWatermark: 1, highWatermark: 2)

    /// What the peer sends. Nothing is written through it; see ``VarlinkConnection``.
    let channel: NIOAsyncChannel<ByteBuffer, Never>
    /// Who the peer is; nil when it was gone before it could be asked.
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

    /// Closes it unheard.
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
