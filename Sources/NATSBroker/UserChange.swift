import Base
import Broker

/// The nodes where a user of a channel is, as the stream of users has them: `u`, and for each node a comma and
/// `node:since:announced`.
struct UserRow: Equatable {
    struct Node: Equatable {
        /// In milliseconds since 1970.
        var since: Int64
        /// Whether the members are told of it.
        var isAnnounced: Bool
    }

    var nodes: [NodeID: Node] = [:]

    /// The most nodes that are read.
    private static let nodeCount = 10_000

    init() {}

    /// As much as can be read.
    init(_ text: String) {
        for part in text.split(separator: ",") where nodes.count < Self.nodeCount {
            let fields = part.split(separator: ":", omittingEmptySubsequences: false)
            guard fields.count == 3, let id = NodeID(fields[0]), let since = Int64(fields[1]) else { continue }
            nodes[id] = Node(since: since, isAnnounced: fields[2] == "1")
        }
    }

    var text: String {
        nodes.sorted { $0.key.rawValue < $1.key.rawValue }
            .reduce(into: "u") { $0 += ",\($1.key):\($1.value.since):\($1.value.isAnnounced ? 1 : 0)" }
    }
}

/// A change of where a user is, tried until nobody else was faster.
final class UserChange {
    enum Outcome {
        case done
        /// It failed for now.
        case failed
        /// The stream may have it, and nothing was announced.
        case uncertain
    }

    private static let tryCount = 50

    private let core: NATSCore
    private let channel: String
    private let user: String
    private let nodes: Set<NodeID>
    /// Nil if the user is not at these nodes any more.
    private let state: UserRow.Node?
    private let announces: Bool
    /// Whether the stream may have it by an earlier try, of which nothing was announced.
    private let isUncertain: Bool
    private let time: Int64
    private var done: ((Outcome) -> Void)?
    /// Where the stream has the user when the change is done.
    private(set) var place: UInt64 = 0

    init(
        _ core: NATSCore, _ channel: String, _ user: String, _ nodes: Set<NodeID>, to state: UserRow.Node?,
        announces: Bool, isUncertain: Bool, at time: Int64
    ) {
        self.core = core
        self.channel = channel
        self.user = user
        self.nodes = nodes
        self.state = state
        self.announces = announces
        self.isUncertain = isUncertain
        self.time = time
    }

    /// Makes the change, and calls `done`.
    func begin(_ done: @escaping (Outcome) -> Void) {
        self.done = done
        read(Self.tryCount)
    }

    private func end(_ outcome: Outcome) {
        done?(outcome)
        done = nil
    }

    private var subject: String { core.subjects.user(channel, user) }

    private func read(_ left: Int) {
        guard left > 0 else { return end(.failed) }
        core.streams.last(core.subjects.usersStream, subject) { [self] found in
            switch found {
            case .unknown: end(.failed)
            case .nothing: write(UserRow(), after: 0, left)
            case .message(let message): write(UserRow(message.text), after: message.seq, left)
            }
        }
    }

    private func write(_ row: UserRow, after seq: UInt64, _ left: Int) {
        var next = row
        for node in nodes { next.nodes[node] = state }
        guard next != row else {
            if isUncertain { announceIfAlone(in: row) }
            if row.nodes.isEmpty, seq > 0 { core.streams.delete(core.subjects.usersStream, seq) }
            place = seq
            return end(.done)
        }
        core.streams.store(subject, after: seq, [UInt8](next.text.utf8)) { [self] answer in
            switch answer {
            case .stored(let place):
                self.place = place
                core.presence.noteStored(place)
                announceIfAlone(in: row)
                // What is left of a user who is gone would stay for ever.
                if next.nodes.isEmpty { core.streams.delete(core.subjects.usersStream, place) }
                end(.done)
            case .outrun: read(left - 1)
            case .refused(let failure):
                core.noteFault("\(core.link.name) answered: \(failure.text)")
                end(.failed)
            case .nobody:
                core.noteFault(
                    "\(core.link.name): nobody takes what is for the stream \(core.subjects.usersStream); it may have no "
                        + "leader")
                end(.failed)
            case .inProcess, .unknown: end(.uncertain)
            }
        }
    }

    /// Announces the change if the user was nowhere before, or is nowhere afterwards.
    private func announceIfAlone(in row: UserRow) {
        let others = state == nil || isUncertain ? row.nodes.filter { !nodes.contains($0.key) } : row.nodes
        guard announces, others.isEmpty else { return }
        let kind: CarriedPublication.Kind = state == nil ? .leave : .join
        core.link.ready?.publish(
            core.subjects.live(channel), [UInt8]("0:0::-:0:".utf8) + PublicationWriter.announcement(kind, user, time))
    }
}
