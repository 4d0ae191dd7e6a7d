import Base
import Channels
import Settings

@testable import Engine

/// A hub that shares its channels with others.
struct SharedNode {
    var hub: Hub
    var port: UInt16
    var broker: MemoryBroker

    func client(_ user: String, _ path: String = "/chat") throws -> TestClient {
        try TestClient(port: port, path: "\(path)?token=\(user)").opened()
    }

    /// Sets how long requests and messages may wait for the broker.
    func allowWaiting(_ time: Duration) async {
        var configuration = EngineConfiguration()
        configuration.server.maxConnectionsPerIP = 0
        configuration.server.handshakeTimeout = .seconds(120)
        configureShared(&configuration, broker)
        configuration.brokerSettings.queueTimeout = time
        await hub.reconfigure(configuration)
    }
}

/// The settings: history of 100 messages, presence, joins and leaves; none of these in the channel `plain`.
func configureShared(_ configuration: inout EngineConfiguration, _ broker: MemoryBroker) {
    var settings = ChannelSettings()
    settings.presence = true
    settings.joinLeave = true
    settings.leaveDelay = .zero
    settings.history = 100
    configuration.channelRules = ChannelRules([
        (ChannelPattern("plain"), ChannelSettings()), (ChannelPattern("*"), settings),
    ])
    configuration.endpoints = [
        .init(path: "/chat", protocol: .json, channel: "lobby"),
        .init(path: "/plain", protocol: .json, channel: "plain"),
        .init(path: "/ws", protocol: .relay, channel: "lobby"),
    ]
    configuration.verifyToken = { .success(Identity(user: $0)) }
    // The clients answer no pings.
    configuration.websocket.pingInterval = .zero
    configuration.websocket.closeTimeout = .seconds(120)
    // Tests beside these keep the processors busy.
    configuration.brokerSettings.queueTimeout = .seconds(120)
    configuration.broker = broker
    configuration.node = broker.node
}

/// Two hubs that share their channels.
func withSharedNodes(
    _ change: (inout EngineConfiguration) -> Void = { _ in },
    _ body: (MemoryServer, SharedNode, SharedNode) async throws -> Void
) async throws {
    let server = MemoryServer()
    let (one, two) = (MemoryBroker(server), MemoryBroker(server))
    try await withHub({
        configureShared(&$0, one)
        change(&$0)
    }) { hub, port in
        one.start(hub)
        let first = SharedNode(hub: hub, port: port, broker: one)
        try await withHub({
            configureShared(&$0, two)
            change(&$0)
        }) { hub, port in
            two.start(hub)
            // The hub keeps its broker, and this the hub.
            defer { for broker in [one, two] { broker.end() } }
            try await body(server, first, SharedNode(hub: hub, port: port, broker: two))
        }
    }
}

extension TestClient {
    /// The next message of this type.
    func next(_ type: String) throws -> String {
        while true {
            let text = try text()
            if text.contains(#""type":"\#(type)""#) { return text }
        }
    }
}

extension String {
    /// The value of a member of a JSON object without nested ones, as it is written.
    func member(_ name: String) -> String? {
        guard let start = firstRange(of: "\"\(name)\":") else { return nil }
        return String(self[start.upperBound...].prefix { $0 != "," && $0 != "}" })
    }
}
