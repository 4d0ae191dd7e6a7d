import Base
import Settings

@testable import Engine

/// A hub on a free loopback port.
func withHub<Outcome>(
    _ change: (inout EngineConfiguration) -> Void = { _ in },
    _ body: (Hub, UInt16) async throws -> Outcome
) async throws -> Outcome {
    var configuration = EngineConfiguration()
    configuration.workerCount = 3
    configuration.maximumConnections = 1_000
    configuration.server.maxConnectionsPerIP = 0
    configuration.endpoints = [
        .init(path: "/ws", protocol: .relay, channel: "lobby"),
        .init(path: "/other", protocol: .relay, channel: "other"),
    ]
    // Other tests keep the threads busy on which tokens are checked.
    configuration.server.handshakeTimeout = .seconds(120)
    // The clients answer no pings.
    configuration.websocket.pingInterval = .zero
    change(&configuration)
    let hub = Hub(configuration)
    let listener = try ListeningSocket(host: IPAddress("127.0.0.1")!, port: 0)
    await hub.listen([listener])
    let port = UInt16(listener.address.split(separator: ":").last!)!
    let outcome: Outcome
    do {
        outcome = try await body(hub, port)
    } catch {
        await hub.stop()
        throw error
    }
    await hub.stop()
    return outcome
}

extension ChannelSettings {
    /// - Parameter age: milliseconds.
    mutating func keepHistory(messageCount: Int, age: Int64, byteCount: Int) {
        history = messageCount
        historyTTL = .milliseconds(age)
        historyByteCount = byteCount
    }
}
