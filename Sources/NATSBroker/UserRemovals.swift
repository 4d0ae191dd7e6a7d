import Base
import Broker
import CLinux
import NIOCore

/// Removes users of nodes from the stream of users, for these nodes.
final class UserRemovals {
    private struct Row: Hashable {
        var channel: Name
        var user: Name
    }

    private struct Removal: Hashable {
        var row: Row
        var id: NodeID
        var isAnnounced: Bool
    }

    /// The removals that are under way at a time.
    private static let windowCount = 256
    /// The most that are found at a time.
    private static let rowCount = 1_000_000

    private unowned let core: NATSCore
    private var isRemoving = false
    /// What the stream may have, though the answer was lost, and nothing was announced.
    private var uncertain: Set<Removal> = []

    init(_ core: NATSCore) { self.core = core }

    /// Removes the users of nodes that are not there, and calls `body`: with false if some may be left.
    func removeGone(_ body: @escaping (Bool) -> Void) {
        let isGone: (Removal) -> Bool = { [weak self] in self?.core.nodes.isThere($0.id) == false }
        remove(where: isGone) { [weak self] isDone in
            guard let self, isDone, core.presence.isReady, !uncertain.isEmpty else { return body(isDone) }
            isRemoving = true
            removeNext(Array(uncertain), isGone, true) { [weak self] isDone in
                self?.isRemoving = false
                body(isDone)
            }
        }
    }

    /// Removes the users of this node who are not here, and calls `done`.
    func removeOwn(
        unless isHere: @escaping (_ channel: Name, _ user: Name) -> Bool, done: @escaping (Bool) -> Void
    ) {
        let node = core.options.node
        remove(where: { $0.id == node && !isHere($0.row.channel, $0.row.user) }, done)
    }

    private func remove(where isMeant: @escaping (Removal) -> Bool, _ body: @escaping (Bool) -> Void) {
        guard core.presence.isReady, !isRemoving, let connection = core.link.ready else { return body(false) }
        isRemoving = true
        var found: [Removal] = []
        StreamReader.read(
            connection, core.subjects.usersStream, core.subjects.allUsers, from: .lastOfEach,
            within: TimeAmount(core.options.requestTimeout)
        ) { [core] message, _ in
            guard let (channel, user) = core.subjects.channelAndUser(of: message.subject) else { return }
            let row = Row(channel: Name(channel), user: Name(user))
            for (id, node) in UserRow(String(buffer: message.payload)).nodes where found.count < Self.rowCount {
                let removal = Removal(row: row, id: id, isAnnounced: node.isAnnounced)
                if isMeant(removal) { found.append(removal) }
            }
        } done: { [weak self] isComplete in
            guard let self else { return }
            removeNext(found, isMeant, isComplete) { [weak self] isDone in
                self?.isRemoving = false
                body(isDone)
            }
        }
    }

    private func removeNext(
        _ found: [Removal], _ isMeant: @escaping (Removal) -> Bool, _ isComplete: Bool,
        _ body: @escaping (Bool) -> Void
    ) {
        let some = found.suffix(Self.windowCount)
        guard !some.isEmpty else { return body(isComplete) }
        // Those of a row are removed at once: one after the other, each would write all that is left of it.
        let rows = Dictionary(grouping: some, by: \.row)
        var missing = rows.count
        var isComplete = isComplete
        for (row, removals) in rows {
            // Some may have come back since.
            let meant = Set(removals.filter(isMeant))
            let ended: (UserChange.Outcome) -> Void = { [weak self] outcome in
                missing -= 1
                if outcome != .done { isComplete = false }
                for removal in removals { self?.note(removal, meant.contains(removal) ? outcome : .done) }
                guard missing == 0 else { return }
                guard let self, core.presence.isReady else { return body(false) }
                removeNext(found.dropLast(some.count), isMeant, isComplete, body)
            }
            guard !meant.isEmpty else {
                ended(.done)
                continue
            }
            UserChange(
                core, row.channel.text, row.user.text, Set(meant.map(\.id)), to: nil,
                // Whoever is not there any more though the node is has been announced when leaving.
                announces: meant.contains { $0.isAnnounced && $0.id != core.options.node },
                isUncertain: meant.contains(where: uncertain.contains), at: clinux_realtime_milliseconds()
            ).begin(ended)
        }
    }

    /// Keeps a removal that is to be announced if the stream has it: nobody finds it there again.
    private func note(_ removal: Removal, _ outcome: UserChange.Outcome) {
        if outcome == .done { uncertain.remove(removal) }
        guard outcome == .uncertain, removal.isAnnounced, uncertain.count < Self.rowCount else { return }
        uncertain.insert(removal)
    }
}
