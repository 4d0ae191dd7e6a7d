import Base
import Broker
import BrokerSupport
import NIOCore

/// The way to the keys of a server, or of all servers of a cluster.
protocol RedisRouter: AnyObject {
    var loop: any EventLoop { get }
    var options: RedisBroker.Options { get }
    var keys: RedisKeys { get }
    /// Whether any key can be reached.
    var isReachable: Bool { get }

    /// Whether the keys of a channel can be reached now; if it `isHeard`, also whether its subscription is there again, if
    /// it was lost.
    func isReady(for channel: Name, isHeard: Bool) -> Bool

    /// Sends a command whose first argument is its only key.
    func send(_ command: [RESPArgument], _ reply: @escaping (RedisConnection.Reply) -> Void)

    /// Runs a script on keys that are in one place.
    func run(
        _ script: RedisScript, keys: [String], _ arguments: [RESPArgument],
        reply: @escaping (RedisConnection.Reply) -> Void)

    /// Notes an error if it is about more than one command.
    func noteFault(_ error: RedisError)
}

extension RedisRouter {
    var nodeText: String { options.node.description }

    /// Asks for the nodes that are there.
    func askForNodes(_ body: @escaping ([NodeDescription]?) -> Void) {
        send(["SMEMBERS", .text(keys.nodes)]) { [self] reply in
            guard case .value(let value) = reply else { return body(nil) }
            let ids = (value.elements ?? []).compactMap { $0.text.flatMap { NodeID($0) } }
            var found: [NodeDescription] = []
            var missing = ids.count
            if ids.isEmpty { return body([]) }
            for id in ids {
                send(["GET", .text(keys.node(id))]) { reply in
                    if case .value(let value) = reply, let text = value.text {
                        found.append(NodeDescription(id: id, json: text))
                    }
                    missing -= 1
                    if missing == 0 { body(found.sorted { $0.id.rawValue < $1.id.rawValue }) }
                }
            }
        }
    }

    /// Sends a message to a node, or to all others.
    func sendMessage(_ message: [UInt8], to node: NodeID?) {
        send([
            .text(keys.publishCommand), .text(node.map(keys.node) ?? keys.nodes),
            .bytes(NodeMessage.bytes(message, from: nodeText)),
        ]) { _ in }
    }
}
