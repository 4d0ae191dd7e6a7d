import NIOCore
import NIOPosix

@testable import NATSBroker

/// Another program that uses a server.
struct NATSStranger {
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let channel: any Channel

    init(_ port: Int) async throws {
        channel = try await ClientBootstrap(group: group).connect(host: "127.0.0.1", port: port).get()
        try await channel.writeAndFlush(ByteBuffer(string: "CONNECT {\"verbose\":false,\"headers\":true}\r\n"))
    }

    /// Publishes a message, with a header that is as it has to be sent.
    func publish(_ subject: String, _ text: String, header: String = "") async throws {
        let (headerCount, count) = (header.utf8.count, header.utf8.count + text.utf8.count)
        let words = header.isEmpty ? "PUB \(subject) \(count)" : "HPUB \(subject) \(headerCount) \(count)"
        try await channel.writeAndFlush(ByteBuffer(string: "\(words)\r\n\(header)\(text)\r\n"))
    }

    /// Has the server send what is published on a subject, of which nothing is made.
    func listen(to subject: String) async throws {
        try await channel.writeAndFlush(ByteBuffer(string: "SUB \(subject) 1\r\n"))
    }

    func end() async throws {
        try await channel.close()
        try await group.shutdownGracefully()
    }
}
