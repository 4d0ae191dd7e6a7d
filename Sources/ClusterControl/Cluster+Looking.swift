internal import Base
internal import Broker
package import Control
internal import Operations

/// What shows connections and channels of all nodes.
extension Cluster {
    /// Up to `limit` connections of all nodes, one node after the other, each with its node's name.
    ///
    /// - Throws: ``ControlError/invalidParameter(_:)`` with `after` for a cursor that this never returned.
    package func connections(
        matching filter: ConnectionFilter, after cursor: String?, limit: Int
    ) async throws(ControlError) -> ConnectionPage {
        let selection = try filter.selection()
        var start: NodeCursor?
        if let cursor { start = try NodeCursor(cursor) }
        let nodes = try await nodes().sorted { $0.id.rawValue < $1.id.rawValue }
        var page = ConnectionPage(connections: [], next: nil, silent: [])
        for node in nodes {
            if let start, node.id.rawValue < start.node.rawValue { continue }
            var after = start?.node == node.id ? start?.after : nil
            repeat {
                let left = limit - page.connections.count
                guard left > 0 else {
                    page.next = "\(NodeCursor(node: node.id, after: after))"
                    return page
                }
                var part: ConnectionPage?
                if node.id == id {
                    part = try await ownConnections(matching: selection, after: after, limit: left)
                } else {
                    let question = List.Parameters(filter: filter, after: after, limit: left)
                    part = try await ask(
                        List.name, question, of: [node], toAll: false, returning: ConnectionPage.self
                    ).replies.first?.reply
                }
                if part == nil { page.silent?.append(node.name) }
                // A node that does not keep to the limit can't make the list longer.
                page.connections += (part?.connections ?? []).prefix(left).map { connection in
                    var connection = connection
                    connection.node = node.name
                    return connection
                }
                // One that stays where it is would make it endless.
                if part?.next == after, after != nil {
                    page.silent?.append(node.name)
                    part?.next = nil
                }
                after = part?.next
            } while after != nil
        }
        return page
    }

    /// One connection, wherever it is.
    ///
    /// - Throws: ``ControlError/noSuchConnection(id:silent:)``.
    package func connection(id: String) async throws(ControlError) -> Show.Reply {
        let others = try await others()
        var found = await backend.connection(id: id)
        found?.node = name
        if let found { return Show.Reply(connection: found, silent: []) }
        let answers = try await ask(
            Show.name, Question.ShowParameters(id: id), of: others, returning: Question.ShowReply.self
        ) { $0.connection != nil }
        for (node, reply) in answers.replies {
            guard var found = reply.connection else { continue }
            found.node = node.name
            return Show.Reply(connection: found, silent: answers.silent)
        }
        throw .noSuchConnection(id: id, silent: answers.silent)
    }

    /// How the last connections on all nodes ended that a filter selects, or all if it is nil: the newest first, at most
    /// `limit`, each with its node's name.
    package func endings(matching filter: ConnectionFilter?, limit: Int) async throws(ControlError) -> Why.Reply {
        var selection: ConnectionSelection?
        if let filter { selection = try filter.selection() }
        let others = try await others()
        var events = named(await backend.endings(matching: selection, limit: limit), name)
        let answers = try await ask(
            Why.name, Why.Parameters(filter: filter, limit: limit), of: others, returning: Why.Reply.self)
        for (node, reply) in answers.replies { events += named(reply.events, node.name) }
        // A stable order, in which the events of a node keep theirs.
        let sorted = events.enumerated().sorted {
            ($1.element.time, $0.offset) < ($0.element.time, $1.offset)
        }
        return Why.Reply(events: sorted.prefix(limit).map(\.element), silent: answers.silent)
    }

    private func named(_ events: [Event], _ node: String) -> [Event] {
        events.map { event in
            var event = event
            event.node = node
            return event
        }
    }

    /// Up to `limit` channels by name, each with its number of connections on all nodes.
    package func channels(
        pattern: String?, after: String?, limit: Int
    ) async throws(ControlError) -> ListChannels.Reply {
        let others = try await others()
        let own = await backend.channels(pattern: pattern, after: after, limit: limit)
        let question = ListChannels.Parameters(pattern: pattern, after: after, limit: limit)
        let answers = try await ask(ListChannels.name, question, of: others, returning: ListChannels.Reply.self)
        return ListChannels.Reply(
            sumOf: [own] + answers.replies.map(\.reply), limit: limit, silent: answers.silent)
    }
}

extension ListChannels.Reply {
    /// The sum of the lists of several nodes, which all begin after the same name.
    init(sumOf parts: [ListChannels.Reply], limit: Int, silent: [String]) {
        // Behind the end of the shortest list, nobody knows whether that node has the channel.
        let bound = parts.compactMap { $0.next.map(Name.init) }.min()
        var sums: [Name: Int] = [:]
        for channel in parts.flatMap(\.channels) {
            let name = Name(channel.name)
            if let bound, bound < name { continue }
            let (sum, isTooLarge) = sums[name, default: 0].addingReportingOverflow(channel.connections)
            sums[name] = isTooLarge ? Int.max : sum
        }
        let sorted = sums.sorted { $0.key < $1.key }.map { ChannelRow(name: $0.key.text, connections: $0.value) }
        self.init(
            channels: Array(sorted.prefix(limit)),
            next: sorted.count > limit ? sorted[limit - 1].name : bound?.text, silent: silent)
    }
}
