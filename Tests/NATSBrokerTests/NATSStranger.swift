import NIOCore
import NIOPosix

@testable import NATSBroker

/// Another program that uses a server.
struct NATSStranger {
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    private let channel: any Channel

    init(_ port: Int) async throws {
        channel = try await ClientBootstrap(group: group).connect(host: "127.0.0.1", port: port).get()
        try await channel.writeAndFlush(ByteBuffer(string: "CONNECT {\"verbose\":false}\r\n"))
    }

    func publish(_ subject: String, _ text: String) async throws {
        try await channel.writeAndFlush(ByteBuffer(string: "PUB \(subject) \(text.utf8.count)\r\n\(text)\r\n"))
    }

    func end() async throws {
        try await channel.close()
        try await group.shutdownGracefully()
    }
}
