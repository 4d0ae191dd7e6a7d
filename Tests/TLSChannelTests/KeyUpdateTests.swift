import NIOCore
import NIOEmbedded
import TLSRecords
import Testing

@testable import TLSChannel
@testable import TLSHandshake

/// A listener's channel, and a client by OpenSSL that asks for new keys.
@Suite("New keys on a channel") struct KeyUpdateTests {
    private let client: OpenSSLClient
    private let server: EmbeddedChannel
    private let fromClient = TLSChannelTests.Collector()

    init() throws {
        client = try OpenSSLClient(OpenSSLClient.Options(version: .tls13))
        let tls = TLSChannels(CurrentTLS(try TLSContext([try Certificates.ecdsa()], tickets: TicketKeys())))
        server = EmbeddedChannel(handlers: [tls.handler(), fromClient])
        server.connect(to: try SocketAddress(ipAddress: "127.0.0.1", port: 1), promise: nil)
        for _ in 0..<3 {
            client.handshake()
            carryUp()
            client.receive(try takeOutput())
        }
    }

    /// Gives the server what the client sends.
    private func carryUp() {
        let bytes = client.takeOutput()
        guard !bytes.isEmpty else { return }
        server.pipeline.fireChannelRead(ByteBuffer(bytes: bytes))
        server.pipeline.fireChannelReadComplete()
    }

    /// What the server sends.
    private func takeOutput() throws -> [UInt8] {
        var all: [UInt8] = []
        while case .byteBuffer(let bytes)? = try server.readOutbound(as: IOData.self) { all += bytes.readableBytesView }
        return all
    }

    private func askForKeys(_ count: Int) {
        for number in 0..<count {
            client.updateKeys(wantsAnswer: true)
            client.write([UInt8(number)])
            carryUp()
        }
    }

    private func send(_ bytes: [UInt8]) {
        server.writeAndFlush(IOData.byteBuffer(ByteBuffer(bytes: bytes)), promise: nil)
    }

    @Test("A client that takes nothing and asks again and again gets one answer, once there is room")
    func withoutRoom() throws {
        server.isWritable = false
        askForKeys(5)
        #expect(fromClient.bytes == [0, 1, 2, 3, 4])
        #expect(try takeOutput().isEmpty)
        server.isWritable = true
        server.pipeline.fireChannelWritabilityChanged()
        let answer = try takeOutput()
        #expect(!answer.isEmpty)
        server.pipeline.fireChannelWritabilityChanged()
        #expect(try takeOutput().isEmpty)
        client.receive(answer)
        send([7])
        client.receive(try takeOutput())
        #expect(client.read() == [7])
    }

    @Test("Where there is no room, the answer comes with what is sent next")
    func withData() throws {
        server.isWritable = false
        askForKeys(2)
        send([7])
        client.receive(try takeOutput())
        #expect(client.read() == [7])
        server.isWritable = true
        server.pipeline.fireChannelWritabilityChanged()
        #expect(try takeOutput().isEmpty)
    }

    @Test("Where there is room, it comes at once")
    func withRoom() throws {
        for _ in 0..<3 {
            askForKeys(1)
            let answer = try takeOutput()
            #expect(!answer.isEmpty)
            client.receive(answer)
        }
        send([7])
        client.receive(try takeOutput())
        #expect(client.read() == [7])
    }
}
