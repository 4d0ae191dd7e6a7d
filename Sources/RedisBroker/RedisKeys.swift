import Base

/// The names of keys and of pub/sub channels. See ``RedisBroker`` for what is in them.
struct RedisKeys: Sendable {
    let prefix: String
    /// Whether pub/sub channels have places in a cluster, as keys have.
    let isCluster: Bool
    /// The bytes before and after a hub's channel in the name of its pub/sub channel.
    private let livePrefix: [UInt8]
    private let liveSuffix: [UInt8]

    init(prefix: String, isCluster: Bool = false) {
        self.prefix = prefix
        self.isCluster = isCluster
        livePrefix = Array((isCluster ? "\(prefix):{c" : "\(prefix):c:").utf8)
        liveSuffix = Array((isCluster ? "}:c" : "").utf8)
    }

    // The part in braces decides about the slot in a cluster: all keys of a channel are in one. After the `c`, a name
    // that begins with `}` does not end it at once.
    func meta(_ channel: String) -> String { "\(prefix):{c\(channel)}:m" }
    func history(_ channel: String) -> String { "\(prefix):{c\(channel)}:h" }
    func users(_ channel: String) -> String { "\(prefix):{c\(channel)}:u" }
    func userCounts(_ channel: String) -> String { "\(prefix):{c\(channel)}:n" }
    /// The pub/sub channel.
    func live(_ channel: String) -> String { isCluster ? "\(prefix):{c\(channel)}:c" : "\(prefix):c:\(channel)" }

    /// The hub's channel of a pub/sub channel; nil if that is another one.
    func channel(ofLive name: some BidirectionalCollection<UInt8>) -> Name? {
        guard name.count >= livePrefix.count + liveSuffix.count, name.starts(with: livePrefix),
            liveSuffix.isEmpty || name.suffix(liveSuffix.count).elementsEqual(liveSuffix)
        else { return nil }
        return Name(String(decoding: name.dropFirst(livePrefix.count).dropLast(liveSuffix.count), as: UTF8.self))
    }

    /// The commands that publish, subscribe and end a subscription.
    var publishCommand: String { isCluster ? "SPUBLISH" : "PUBLISH" }
    var subscribeCommand: String { isCluster ? "SSUBSCRIBE" : "SUBSCRIBE" }
    var unsubscribeCommand: String { isCluster ? "SUNSUBSCRIBE" : "UNSUBSCRIBE" }

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

    /// The pub/sub channel of a node's probes. In a cluster the mark makes it one of a certain server.
    func probe(_ id: NodeID, _ mark: Int) -> String { isCluster ? "\(probeTag(id, mark)):c" : "\(prefix):probe:\(id)" }
    func probeMeta(_ id: NodeID, _ mark: Int) -> String { "\(probeTag(id, mark)):m" }
    func probeHistory(_ id: NodeID, _ mark: Int) -> String { "\(probeTag(id, mark)):h" }

    private func probeTag(_ id: NodeID, _ mark: Int) -> String {
        isCluster ? "\(prefix):{probe:\(id):\(mark)}" : "\(prefix):{probe:\(id)}"
    }
}
