import NIOCore
import NIOEmbedded
import Synchronization
import Testing

@testable import TLSChannel
@testable import TLSHandshake

/// Both ends of TLS on channels, one at the other, without sockets.
@Suite("TLS on a channel") struct TLSChannelTests {
    /// The two channels, and what lies between them.
    final class Pair {
        let client: EmbeddedChannel
        let server: EmbeddedChannel
        let loop = EmbeddedEventLoop()
        /// What each end has received.
        let fromServer = Collector()
        let fromClient = Collector()
        /// The size of the pieces in which bytes are carried.
        let pieceByteCount: Int

        init(
            name: String = "localhost", trusts authority: String? = Certificates.ecdsaCertificate,
            presents certificate: ServerCertificate? = nil, pieceByteCount: Int = 1 << 20,
            server handler: (any ChannelHandler)? = nil
        ) throws {
            self.pieceByteCount = pieceByteCount
            let context = try TLSClientContext(authorities: authority.map { Array($0.utf8) })
            let current = CurrentTLS(
                try TLSContext([try certificate ?? Certificates.ecdsa()], tickets: TicketKeys()))
            server = EmbeddedChannel(handlers: [handler ?? TLSChannels(current).handler(), fromClient], loop: loop)
            client = EmbeddedChannel(
                handlers: [try TLSClientHandler(context, serverName: name), fromServer], loop: loop)
            let address = try SocketAddress(ipAddress: "127.0.0.1", port: 1)
            server.connect(to: address, promise: nil)
            client.connect(to: address, promise: nil)
        }

        /// Carries bytes until there are none.
        func carry() throws {
            var hasMoved = true
            while hasMoved {
                hasMoved = try move(from: client, to: server)
                hasMoved = try move(from: server, to: client) || hasMoved
            }
        }

        private func move(from source: EmbeddedChannel, to target: EmbeddedChannel) throws -> Bool {
            var hasMoved = false
            while case .byteBuffer(var bytes)? = try source.readOutbound(as: IOData.self) {
                hasMoved = true
                while let piece = bytes.readSlice(length: min(pieceByteCount, bytes.readableBytes)),
                    piece.readableBytes > 0
                {
                    // What comes behind the end is dropped, as the kernel does.
                    guard target.isActive else { break }
                    target.pipeline.fireChannelRead(piece)
                    target.pipeline.fireChannelReadComplete()
                }
            }
            return hasMoved
        }
    }

    /// Collects what a channel reads, and its errors.
    final class Collector: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        var bytes: [UInt8] = []
        var faults: [any Error] = []
        var isAtEnd = false

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            bytes += unwrapInboundIn(data).readableBytesView
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { faults.append(error) }
        func channelInactive(context: ChannelHandlerContext) { isAtEnd = true }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            if event as? ChannelEvent == .inputClosed { isAtEnd = true }
        }

        var fault: TLSClientFault? { faults.first as? TLSClientFault }
    }

    private func bytes(_ count: Int, _ seed: UInt8) -> [UInt8] {
        (0..<count).map { UInt8(truncatingIfNeeded: $0) &+ seed }
    }

    private func write(_ bytes: [UInt8], to channel: EmbeddedChannel) {
        channel.writeAndFlush(IOData.byteBuffer(ByteBuffer(bytes: bytes)), promise: nil)
    }

    @Test("Data goes both ways, whatever its size and that of the pieces it comes in", arguments: [1, 7, 1 << 20])
    func data(pieceByteCount: Int) throws {
        let pair = try Pair(pieceByteCount: pieceByteCount)
        var (up, down): ([UInt8], [UInt8]) = ([], [])
        // The first waits for the handshake.
        for (index, size) in [5, 0, 1, 16_384, 16_385, 50_000].enumerated() {
            let (request, answer) = (bytes(size, UInt8(index)), bytes(size / 2, UInt8(100 + index)))
            write(request, to: pair.client)
            try pair.carry()
            up += request
            #expect(pair.fromClient.bytes == up)
            write(answer, to: pair.server)
            try pair.carry()
            down += answer
            #expect(pair.fromServer.bytes == down)
        }
        pair.client.close(promise: nil)
        try pair.carry()
        #expect(pair.fromClient.isAtEnd)
        #expect(pair.fromClient.faults.isEmpty && pair.fromServer.faults.isEmpty)
    }

    @Test("What is written before the handshake is done is lost with the connection, and says so")
    func waiting() throws {
        let pair = try Pair()
        let promise = pair.loop.makePromise(of: Void.self)
        pair.client.writeAndFlush(IOData.byteBuffer(ByteBuffer(string: "x")), promise: promise)
        pair.client.close(promise: nil)
        pair.loop.run()
        #expect(throws: ChannelError.self) { try promise.futureResult.wait() }
    }

    @Test("A certificate is trusted for its names alone, and only if an authority vouches for it")
    func trust() throws {
        func fault(_ name: String, _ authority: String?) throws -> TLSClientFault? {
            let pair = try Pair(name: name, trusts: authority)
            write([1], to: pair.client)
            try pair.carry()
            pair.loop.run()
            #expect(pair.fromClient.bytes.isEmpty == (pair.fromServer.fault != nil))
            #expect(pair.client.isActive == (pair.fromServer.fault == nil))
            return pair.fromServer.fault
        }
        #expect(try fault("localhost", Certificates.ecdsaCertificate) == nil)
        #expect(try fault("a.localhost.test", Certificates.ecdsaCertificate) == nil)
        #expect(try fault("localhost.", Certificates.ecdsaCertificate) == nil)
        for other in ["example.org", "localhost.test", "a.b.localhost.test", "127.0.0.1", "::1"] {
            #expect(try fault(other, Certificates.ecdsaCertificate) == .otherName(other))
        }
        #expect(try fault("localhost", Certificates.otherCertificate) == .untrusted)
        #expect(try fault("localhost", nil) == .untrusted)
        for name in ["", ".", "localhost\0", "127.0.0.1\0"] {
            #expect(throws: TLSClientFault.failed("'\(name)' can't be the name of a server")) { try Pair(name: name) }
        }
    }

    @Test("Authorities that can't be read are told")
    func authorities() throws {
        #expect(throws: CertificateError.self) { try TLSClientContext(authorities: []) }
        #expect(throws: CertificateError.self) { try TLSClientContext(authorities: Array("no certificate".utf8)) }
        let half = Certificates.ecdsaCertificate.dropLast(200)
        let error = #expect(throws: CertificateError.self) {
            try TLSClientContext(authorities: Array((Certificates.rsaCertificate + "\n" + half).utf8))
        }
        #expect("\(try #require(error))".hasPrefix("certificate 2 in it can't be read"))
    }

    @Test("A server without TLS is told from one that breaks off")
    func noTLS() throws {
        let pair = try Pair(server: Collector())
        write(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8), to: pair.server)
        try pair.carry()
        #expect(pair.fromServer.fault == .notTLS)
        #expect(!pair.client.isActive)
        let other = try Pair()
        other.client.pipeline.fireChannelInactive()
        #expect(other.fromServer.fault == .truncated)
    }

    @Test("An end that the server has not told is an error, and one that it has told is none")
    func ends() throws {
        for isTold in [true, false] {
            let pair = try Pair()
            write([1], to: pair.client)
            try pair.carry()
            if isTold { pair.server.close(promise: nil) }
            try pair.carry()
            if pair.client.isActive { pair.client.pipeline.fireChannelInactive() }
            #expect(pair.fromServer.fault == (isTold ? nil : .truncated))
            #expect(pair.fromServer.isAtEnd)
        }
    }

    @Test("A server's damaged record ends the connection")
    func damage() throws {
        let pair = try Pair()
        write([1], to: pair.client)
        try pair.carry()
        write([2, 3], to: pair.server)
        guard case .byteBuffer(var record)? = try pair.server.readOutbound(as: IOData.self) else {
            Issue.record("there is no record")
            return
        }
        record.setInteger(
            record.getInteger(at: record.writerIndex - 1, as: UInt8.self)! ^ 1, at: record.writerIndex - 1)
        pair.client.pipeline.fireChannelRead(record)
        guard case .failed? = pair.fromServer.fault else {
            Issue.record("\(pair.fromServer.faults)")
            return
        }
        #expect(pair.fromServer.bytes.isEmpty)
        #expect(!pair.client.isActive)
    }

    @Test("A listener answers plain HTTP, and ends what it has no certificate for")
    func plain() throws {
        func answer(_ handler: any ChannelHandler, _ text: String) throws -> String {
            let loop = EmbeddedEventLoop()
            let channel = EmbeddedChannel(handlers: [handler], loop: loop)
            channel.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
            channel.pipeline.fireChannelRead(ByteBuffer(string: text))
            channel.pipeline.fireChannelReadComplete()
            loop.run()
            #expect(!channel.isActive)
            guard case .byteBuffer(let bytes)? = try channel.readOutbound(as: IOData.self) else { return "" }
            return String(buffer: bytes)
        }
        let none = TLSChannels(CurrentTLS(nil))
        #expect(try answer(none.handler(), "GET / HTTP/1.1\r\n\r\n").contains("use https"))
        let pair = try Pair(server: none.handler())
        try pair.carry()
        #expect(!pair.server.isActive)
    }

    @Test("A listener reports who has failed and why, and of those soon after it how many")
    func reports() throws {
        let reports = Mutex<[String]>([])
        func listener(_ context: TLSContext?) -> TLSChannels {
            TLSChannels(CurrentTLS(context)) { report in reports.withLock { $0.append(report) } }
        }
        func expectReport(_ text: String, from act: () throws -> Void) throws {
            reports.withLock { $0 = [] }
            try act()
            let found = reports.withLock { $0 }
            #expect(found == [text])
        }
        let context = try TLSContext([try Certificates.ecdsa()], tickets: TicketKeys())
        let tls = listener(context)
        try expectReport("127.0.0.1: this port speaks TLS, and the client does not") {
            for _ in 0..<3 {
                let pair = try Pair(server: tls.handler())
                pair.server.pipeline.fireChannelRead(ByteBuffer(string: "GET / HTTP/1.1\r\n\r\n"))
                pair.server.pipeline.fireChannelReadComplete()
            }
        }
        try expectReport("127.0.0.1: there is no certificate, or no memory") {
            try Pair(server: listener(nil).handler()).carry()
        }
        try expectReport("127.0.0.1: the handshake took longer than 10 seconds") {
            let late = listener(context)
            let silent = try Pair(server: late.handler())
            silent.loop.advanceTime(by: .seconds(10))
            let slow = try Pair(server: late.handler())
            slow.server.pipeline.fireChannelRead(ByteBuffer(bytes: [22, 3]))
            slow.server.pipeline.fireChannelReadComplete()
            slow.loop.advanceTime(by: .seconds(10))
        }
        try expectReport("127.0.0.1: a record of 16646 bytes") {
            let pair = try Pair(server: listener(context).handler())
            try pair.carry()
            pair.server.pipeline.fireChannelRead(ByteBuffer(bytes: [23, 3, 3, 0x41, 0x01]))
            pair.server.pipeline.fireChannelReadComplete()
        }
        // The client trusts nobody who has signed this.
        reports.withLock { $0 = [] }
        let distrustful = try Pair(trusts: Certificates.otherCertificate, server: listener(context).handler())
        try distrustful.carry()
        let found = reports.withLock { $0 }
        #expect(found.count == 1 && found[0].hasPrefix("127.0.0.1: the handshake failed: "), "\(found)")
    }

    @Test("A listener waits ten seconds for a handshake, and for 128 at once: the oldest ends for one more")
    func limits() throws {
        let tls = TLSChannels(CurrentTLS(try TLSContext([try Certificates.ecdsa()], tickets: TicketKeys())))
        let silent = try Pair(server: tls.handler())
        silent.loop.advanceTime(by: .milliseconds(9_999))
        #expect(silent.server.isActive)
        silent.loop.advanceTime(by: .milliseconds(1))
        #expect(!silent.server.isActive)
        // Each has sent its first message, and no answer to the server's.
        func begin() throws -> Pair {
            let pair = try Pair(server: tls.handler())
            guard case .byteBuffer(let hello)? = try pair.client.readOutbound(as: IOData.self) else { return pair }
            pair.server.pipeline.fireChannelRead(hello)
            pair.server.pipeline.fireChannelReadComplete()
            return pair
        }
        let begun = try (0..<Handshakes.maximum).map { _ in try begin() }
        #expect(begun.allSatisfy { $0.server.isActive })
        let next = try begin()
        #expect(!begun[0].server.isActive)
        #expect(begun[1...].allSatisfy { $0.server.isActive })
        try next.carry()
        write([1], to: next.client)
        try next.carry()
        #expect(next.fromClient.bytes == [1])
        // It is over, so there is room for another.
        _ = try begin()
        #expect(begun[1...].allSatisfy { $0.server.isActive })
    }
}
