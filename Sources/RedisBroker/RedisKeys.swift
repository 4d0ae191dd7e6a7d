import Base

/// The names of keys and of pub/sub channels. See ``RedisBroker`` for what is in them.
struct RedisKeys: Sendable {
    let prefix: String
    /// The bytes before a hub's channel in the name of its pub/sub channel.
    let livePrefix: [UInt8]

    init(prefix: String) {
        self.prefix = prefix
        livePrefix = Array("\(prefix):c:".utf8)
    }

    // The part in braces decides about the slot in a cluster: all keys of a channel are in one. After the `c`, a name
    // that begins with `}` does not end it at once.
    func meta(_ channel: String) -> String { "\(prefix):{c\(channel)}:m" }
    func history(_ channel: String) -> String { "\(prefix):{c\(channel)}:h" }
    func users(_ channel: String) -> String { "\(prefix):{c\(channel)}:u" }
    func userCounts(_ channel: String) -> String { "\(prefix):{c\(channel)}:n" }
    /// The pub/sub channel.
    func live(_ channel: String) -> String { "\(prefix):c:\(channel)" }

    /// The text of the publish script.
    var publishScript: String { "\(prefix):publish" }
    /// The set of nodes, and the pub/sub channel of messages to all of them.
    var nodes: String { "\(prefix):nodes" }
    /// A node's lease, and the pub/sub channel of messages to it.
    func node(_ id: NodeID) -> String { "\(prefix):node:\(id)" }
    /// The set of channels with users on a node.
    func nodeChannels(_ id: NodeID) -> String { "\(prefix):node:\(id):c" }
    /// Set when another node has begun to remove a node's users.
    func nodeGone(_ id: NodeID) -> String { "\(prefix):node:\(id):gone" }
    /// The pub/sub channel of a node's probes.
    func probe(_ id: NodeID) -> String { "\(prefix):probe:\(id)" }
    func probeMeta(_ id: NodeID) -> String { "\(prefix):{probe:\(id)}:m" }
    func probeHistory(_ id: NodeID) -> String { "\(prefix):{probe:\(id)}:h" }
}
