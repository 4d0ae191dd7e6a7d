/// A client's membership in a channel, 24 bytes.
struct Membership {
    enum State {
        /// The request was sent to the channel's home. The connection waits for the answer; only an operator or a
        /// reload can change the state meanwhile.
        case joining
        /// As `joining`, but the client has been removed in the meantime; the answer to its request will tell it.
        case revoked
        case joined
    }

    let channel: UInt32
    /// The index among the channel's subscribers, or one of the two values below. A byte more would cost each member
    /// 16 bytes.
    fileprivate(set) var position: UInt32
    private static let joiningPosition = UInt32.max
    private static let revokedPosition = UInt32.max - 1
    /// The generation of the configuration under which the home counted the connection; 0 if it didn't.
    var generation: UInt32 = 0
    /// The number of the message after which the live stream began, and the number of messages that the queue policy
    /// had dropped for the connection by then. As long as none has been dropped since, the stream has no gap.
    var droppedBefore: UInt32 = 0
    var startSeq: UInt64 = 0

    fileprivate init(joining channel: UInt32) {
        self.channel = channel
        position = Membership.joiningPosition
    }

    /// The membership of a client that is to take its place in the channel again.
    init(rejoining channel: UInt32, generation: UInt32, startSeq: UInt64, droppedBefore: UInt32) {
        self.init(
            channel: channel, position: Membership.joiningPosition, generation: generation, startSeq: startSeq,
            droppedBefore: droppedBefore)
    }

    /// A membership that the channel's home has admitted.
    init(channel: UInt32, position: UInt32, generation: UInt32, startSeq: UInt64, droppedBefore: UInt32) {
        self.channel = channel
        self.position = position
        self.generation = generation
        self.startSeq = startSeq
        self.droppedBefore = droppedBefore
    }

    var state: State {
        switch position {
        case Membership.joiningPosition: .joining
        case Membership.revokedPosition: .revoked
        default: .joined
        }
    }

    fileprivate mutating func revoke() { position = Membership.revokedPosition }
}

/// The memberships of one `json` client, in the order of joining, and every change of their states.
///
/// ```
///          begin               settle, enter
///     ─ ─────────▶ joining ──────────────────▶ joined
///     ▲               │ │ takeOut                │
///     │ settle        │ ▼                        │
///     ├───────────────┘ revoked                  │
///     │ settle            │                      │
///     ├───────────────────┘                      │
///     │ takeOut, leave, leaveAll                 │
///     └──────────────────────────────────────────┘
/// ```
struct Memberships {
    /// What follows from taking a client out of a channel.
    enum Removal {
        /// It was a member: its channel and the channel's home have to be told, and the client.
        case left(Membership)
        /// It is still joining: the answer to its request tells it.
        case revoked
    }

    private var members: ContiguousArray<Membership> = []

    var isEmpty: Bool { members.isEmpty }
    var count: Int { members.count }
    var all: ContiguousArray<Membership> { members }

    /// Those that are joined.
    var joined: ContiguousArray<Membership> { members.filter { $0.state == .joined } }

    /// Whether the client is in a channel or about to be.
    func contains(_ channel: UInt32) -> Bool { members.contains { $0.channel == channel } }

    /// The membership of a client that has joined a channel; nil otherwise.
    func joined(_ channel: UInt32) -> Membership? { joinedPlace(channel).map { members[$0] } }

    private func joinedPlace(_ channel: UInt32) -> Int? {
        members.firstIndex { $0.channel == channel && $0.state == .joined }
    }

    /// The first membership that is joined and meets a condition.
    func joined(where condition: (Membership) -> Bool) -> Membership? {
        members.first { $0.state == .joined && condition($0) }
    }

    /// The membership of a client that has not been taken out of a channel; nil otherwise.
    func current(_ channel: UInt32) -> Membership? { currentPlace(channel).map { members[$0] } }

    private func currentPlace(_ channel: UInt32) -> Int? {
        members.firstIndex { $0.channel == channel && $0.state != .revoked }
    }

    /// The client asks to join a channel.
    mutating func begin(_ channel: UInt32) {
        assert(!contains(channel))
        members.append(Membership(joining: channel))
    }

    /// The client, which was a member before a restart, has to be given its place again.
    mutating func begin(_ membership: Membership) {
        assert(!contains(membership.channel))
        members.append(membership)
    }

    /// The home has answered a request to join: removes the membership and returns the state that it had. The client
    /// enters if that is `joining`; nil: nobody waits for the answer any more.
    mutating func settle(_ channel: UInt32) -> Membership.State? {
        guard let place = members.firstIndex(where: { $0.channel == channel && $0.state != .joined }) else {
            return nil
        }
        return members.remove(at: place).state
    }

    /// The client is a member from now on.
    mutating func enter(_ membership: Membership) {
        assert(membership.state == .joined && !contains(membership.channel))
        members.append(membership)
    }

    /// Takes the client out of a channel; nil if it is not in it, or has been taken out before.
    mutating func takeOut(_ channel: UInt32) -> Removal? {
        guard let place = currentPlace(channel) else { return nil }
        guard members[place].state == .joined else {
            members[place].revoke()
            return .revoked
        }
        return .left(members.remove(at: place))
    }

    /// The client leaves a channel that it has joined; nil if it has not.
    mutating func leave(_ channel: UInt32) -> Membership? { joinedPlace(channel).map { members.remove(at: $0) } }

    /// The client leaves all channels. Returns those that it has joined; the answers to its requests for others will
    /// find no membership.
    mutating func leaveAll() -> ContiguousArray<Membership> {
        defer { members.removeAll() }
        return joined
    }

    /// Notes that a member has moved among the channel's subscribers.
    mutating func move(to position: UInt32, in channel: UInt32) {
        update(channel) { $0.position = position }
    }

    /// Passes the memberships to `body` in their order, for a change of what is noted of them.
    mutating func forEach(_ body: (inout Membership) -> Void) {
        for place in members.indices { body(&members[place]) }
    }

    /// Changes what is noted of a membership that is joined.
    mutating func update(_ channel: UInt32, _ change: (inout Membership) -> Void) {
        guard let place = joinedPlace(channel) else { return }
        change(&members[place])
    }
}
