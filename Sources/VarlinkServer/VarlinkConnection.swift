import NIOCore
import Varlink

/// One connection of a server: takes its calls one by one, and answers them.
///
/// Replies are written and flushed one at a time, and each is awaited until the kernel has taken it. Therefore a peer
/// that doesn't read costs the memory of one reply and stops only its own calls, and nothing is lost when the
/// connection is closed after the last reply.
struct VarlinkConnection: Sendable {
    /// How long a peer may take to read the current reply when the server stops.
    private static let lastReplyTimeout = TimeAmount.seconds(1)

    private let accepted: AcceptedConnection
    private let peer: PeerCredentials
    private let service: VarlinkService
    private let limits: VarlinkServer.Limits
    private let log: @Sendable (VarlinkServer.Event) -> Void
    private let limiter: ConnectionLimiter
    private let stream = CurrentStream()
    private let activity = ConnectionActivity()

    /// The peer is gone, or its input makes further reading pointless.
    private struct Finished: Error {}

    /// A connection that has a place.
    init(
        _ accepted: AcceptedConnection, peer: PeerCredentials, service: VarlinkService, limits: VarlinkServer.Limits,
        log: @escaping @Sendable (VarlinkServer.Event) -> Void, limiter: ConnectionLimiter
    ) {
        self.accepted = accepted
        self.peer = peer
        self.service = service
        self.limits = limits
        self.log = log
        self.limiter = limiter
    }

    private var channel: any Channel { accepted.channel.channel }

    /// Serves until the peer has closed and all its calls are answered, or the task is cancelled.
    func run() async {
        let stream = stream
        channel.closeFuture.whenComplete { _ in stream.connectionClosed() }
        await withTaskCancellationHandler {
            // Errors here are those of the connection, and the peer knows about them.
            try? await accepted.channel.executeThenClose { inbound in
                try await serve(inbound)
            }
        } onCancel: {
            stop()
        }
    }

    /// Ends the connection: at once if no call is being executed, otherwise after its reply. One such reply is that to
    /// the call that ends the daemon. A peer that doesn't read it isn't waited for.
    private func stop() {
        stream.connectionClosed()
        let channel = channel
        if activity.stop() {
            channel.eventLoop.scheduleTask(in: Self.lastReplyTimeout) { channel.close(promise: nil) }
        } else {
            channel.close(promise: nil)
        }
    }

    private func serve(_ inbound: NIOAsyncChannelInboundStream<ByteBuffer>) async throws {
        var splitter = FrameSplitter(limit: limits.callByteCount)
        var held = 0
        var deadline: Scheduled<Void>?
        defer {
            _ = limiter.hold(-held)
            deadline?.cancel()
        }
        for try await buffer in inbound {
            splitter.append(buffer.readableBytesView)
            while let message = try next(&splitter) {
                guard activity.begin() else { throw Finished() }
                try await answer(message)
                guard activity.end() else { throw Finished() }
            }
            let more = splitter.pendingByteCount - held
            held += more
            guard limiter.hold(more) else {
                log(.malformed(peer, reason: "more than \(limits.unfinishedByteCount) bytes of unfinished calls"))
                throw Finished()
            }
            if held == 0 {
                deadline?.cancel()
                deadline = nil
            } else if deadline == nil {
                let channel = channel
                deadline = channel.eventLoop.scheduleTask(in: limits.callTimeout) { channel.close(promise: nil) }
            }
        }
        // Half a message before the end is not an error: the peer changed its mind.
    }

    private func next(_ splitter: inout FrameSplitter) throws -> [UInt8]? {
        do {
            return try splitter.next()
        } catch {
            log(.malformed(peer, reason: "a call of more than \(error.limit) bytes"))
            throw Finished()
        }
    }

    private func answer(_ message: [UInt8]) async throws {
        let call: VarlinkCall
        do {
            call = try VarlinkCall(message: message)
        } catch {
            // Input that isn't a call can't be answered, and the meaning of the next bytes is unknown.
            log(.malformed(peer, reason: error.reason))
            throw Finished()
        }
        do {
            let reply = try await carryOut(call)
            if !call.oneway { try await write(try ByteBuffer(message: VarlinkMessage.reply(reply))) }
        } catch let error as VarlinkError {
            if !call.oneway { try await write(try ByteBuffer(message: VarlinkMessage.reply(error))) }
        } catch {
            if channel.isActive && !Task.isCancelled {
                log(.failed(peer, method: call.method, reason: "\(error)"))
            }
            throw Finished()
        }
    }

    /// A call with `more` ends when the peer goes away. Any other call is short, and is executed to its end: a client
    /// that calls one way may be gone before it begins.
    private func carryOut(_ call: VarlinkCall) async throws -> any Encodable & Sendable {
        let service = service
        let peer = peer
        guard call.more && !call.oneway else {
            return try await service.respond(to: call, from: peer, send: { _ in })
        }
        return try await stream.run {
            try await service.respond(to: call, from: peer) { reply in
                try Task.checkCancellation()
                try await write(try ByteBuffer(message: VarlinkMessage.reply(reply, continues: true)))
            }
        }
    }

    /// Writes a message, and returns when the kernel has taken all of it.
    private func write(_ message: ByteBuffer) async throws {
        try await channel.writeAndFlush(message).get()
    }
}

extension ByteBuffer {
    /// A buffer of a message's bytes.
    fileprivate init(message: some Sequence<UInt8>) {
        self.init(bytes: message)
    }
}
