package import Base

/// The service that carries publications between the nodes of a hub, and gives them their order.
///
/// A broker works on a thread of its own. No function waits: each notes what is wanted and returns, and what comes of it
/// goes to the sink as events. Any thread may call them; the calls for one channel come from one thread. A broker that
/// can't be reached is a state, not an error: it keeps trying, and says so by `BrokerEvent.health`.
package protocol Broker: AnyObject, Sendable {
    /// What this kind of broker can do. Settings that ask for more are configuration errors.
    var traits: BrokerTraits { get }

    /// Begins to connect. The sink gets the events from then on; this is called once.
    func start(_ sink: any BrokerSink)

    /// Publishes batches. Each is answered by `accepted` or `refused`, and unless refused comes back as `delivered` if
    /// its channel is subscribed. A channel has at most one batch that has not been answered.
    func publish(_ batches: [OutgoingBatch])

    /// Subscribes channels. Each is answered by `subscribed` as soon as the broker can be reached, however long that
    /// takes; batches that come later are delivered. A channel that is subscribed already is answered once more.
    func subscribe(_ subscriptions: [Subscription])

    /// Ends subscriptions. Batches that are on their way may still be delivered.
    func unsubscribe(_ channels: [String])

    /// Notes users that came to this node or left it. The first node that a user comes to, and the last that the user
    /// leaves, announce that in the channel if the change asks for it.
    func change(_ changes: [PresenceChange])

    /// Asks for the users in a channel on all nodes, answered by `members` with the same token.
    func askForMembers(of channel: String, token: UInt64)

    /// Sends a message to one node, or to all others. A node that can't be reached does not get it.
    func send(_ message: [UInt8], to node: NodeID?)

    /// The nodes that are there, this one too; nil if the broker can't be asked.
    func nodes() async -> [NodeDescription]?

    /// Sends what has been published, if the broker can be reached within the time, withdraws this node and its users,
    /// and disconnects.
    func stop(within time: Duration) async
}

/// Gets a broker's events. They come from the broker's thread and must not make it wait; those of one channel come in
/// order.
package protocol BrokerSink: Sendable {
    func take(_ events: [BrokerEvent])
}

/// What a kind of broker can do.
package struct BrokerTraits: Sendable, Equatable {
    /// Whether all nodes see the publications of a channel in one order, numbered.
    package var ordersChannels: Bool
    /// Whether it keeps the history of channels.
    package var keepsHistory: Bool
    /// Whether it knows the users in a channel on all nodes.
    package var tracksPresence: Bool

    package init(ordersChannels: Bool, keepsHistory: Bool, tracksPresence: Bool) {
        self.ordersChannels = ordersChannels
        self.keepsHistory = keepsHistory
        self.tracksPresence = tracksPresence
    }
}

/// The publications of a channel that a node hands over at once.
package struct OutgoingBatch: Sendable {
    package var channel: String
    /// The number of the batch among those of this node and channel, which grows. It tells a batch that is sent again
    /// from a new one.
    package var number: UInt64
    /// The number of publications in it that get a number in the channel's order.
    package var numberedCount: Int
    /// The publications, as `PublicationWriter` writes them.
    package var publications: [UInt8]
    /// The limits of the channel's history; nil if it keeps none.
    package var history: HistoryLimits?
    /// The time at which the batch is refused if it could not be sent, in nanoseconds of the monotonic clock.
    package var deadline: UInt64

    package init(
        channel: String, number: UInt64, numberedCount: Int, publications: [UInt8], history: HistoryLimits?,
        deadline: UInt64
    ) {
        self.channel = channel
        self.number = number
        self.numberedCount = numberedCount
        self.publications = publications
        self.history = history
        self.deadline = deadline
    }
}

/// A channel to subscribe.
package struct Subscription: Sendable, Equatable {
    package var channel: String
    /// The limits of the channel's history; nil if it keeps none.
    package var history: HistoryLimits?

    package init(channel: String, history: HistoryLimits?) {
        self.channel = channel
        self.history = history
    }
}

/// A user who came to a channel on this node, or left it there.
package struct PresenceChange: Sendable, Equatable {
    package var channel: String
    package var user: String
    package var isPresent: Bool
    /// Whether the members are told if the user is new in the channel, or gone from it, on all nodes.
    package var isAnnounced: Bool
    /// Whether they know of this change already, and are told only of later ones.
    package var isSilent: Bool
    /// The time of the change, in milliseconds since 1970.
    package var time: Int64

    package init(
        channel: String, user: String, isPresent: Bool, isAnnounced: Bool, isSilent: Bool = false, time: Int64
    ) {
        self.channel = channel
        self.user = user
        self.isPresent = isPresent
        self.isAnnounced = isAnnounced
        self.isSilent = isSilent
        self.time = time
    }
}

/// A node as it tells the others of itself.
package struct NodeDescription: Sendable, Equatable {
    package var id: NodeID
    /// The name for people: the host's, unless it is configured.
    package var name: String
    package var version: String
    /// The addresses that it listens on for clients.
    package var addresses: [String]
    /// The time at which it started, in milliseconds since 1970.
    package var startedAt: Int64

    package init(id: NodeID, name: String, version: String, addresses: [String], startedAt: Int64) {
        self.id = id
        self.name = name
        self.version = version
        self.addresses = addresses
        self.startedAt = startedAt
    }
}
