package import Base
package import Broker
package import Control
internal import Operations
internal import Synchronization
internal import Varlink

/// The control plane over all nodes of a hub: asks the other nodes through the broker, and answers them.
///
/// Each operation does its part on this node, asks the others, and waits until every node that is there has answered or
/// two seconds have passed. The reply has the names of the nodes that did not answer, or could not do what they were
/// asked for; their reasons are logged. If the broker can't be asked which nodes there are, nothing is done anywhere.
package final class Cluster: Sendable {
    /// The limits of what nodes may ask of each other.
    package struct Limits: Sendable {
        /// How long an answer is waited for.
        package var patience: Duration = .seconds(2)
        /// How long the answer of a node is waited for that has not answered last time. Without this, whoever sends a
        /// thousand messages would wait for a dead node a thousand times.
        package var patienceWithMute: Duration = .milliseconds(100)
        /// The number of this node's questions that may be open.
        package var questions = 256
        /// The number of other nodes' questions that may be worked on.
        package var answers = 64
        /// The size of a message.
        package var messageByteCount = 4 << 20
        /// The number and the size of the messages that have come and are being read.
        package var messagesTaken = 1024
        package var bytesTaken = 64 << 20

        package init() {}
    }

    /// Counters since the start.
    package struct Counts: Sendable, Equatable {
        /// Questions of this node.
        package var questions = 0
        /// Other nodes' questions.
        package var answers = 0
        /// Nodes that did not answer a question of this node in time, or answered with an error.
        package var silences = 0
        /// Messages that could not be read, or were too large or too many.
        package var dropped = 0
        /// Answers that nobody waited for.
        package var ignored = 0

        package init() {}
    }

    let broker: any Broker
    /// This node.
    let id: NodeID
    let name: String
    /// The operations on this node.
    let backend: any ControlBackend
    let limits: Limits
    private let report: @Sendable (String) -> Void
    private let state = Mutex(State())

    private struct State {
        var open = OpenQuestions()
        /// The nodes that have not answered in time and sent nothing since.
        var mute: Set<NodeID> = []
        var counts = Counts()
        var answering = 0
        var messagesTaken = 0
        var bytesTaken = 0
    }

    /// - Parameters:
    ///   - backend: does what this node and others ask of this node.
    ///   - report: logs that a node could not do what it was asked for.
    package init(
        broker: any Broker, id: NodeID, name: String, backend: any ControlBackend, limits: Limits = Limits(),
        report: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.broker = broker
        self.id = id
        self.name = name
        self.backend = backend
        self.limits = limits
        self.report = report
    }

    /// The counters at this moment.
    package var counts: Counts { state.withLock(\.counts) }

    /// Takes a message of another node: `BrokerEvent.message`. Returns at once.
    package func take(_ message: [UInt8], from node: NodeID) {
        guard node != id else { return }
        let isTaken = state.withLock { state in
            state.mute.remove(node)
            guard message.count <= limits.messageByteCount, state.messagesTaken < limits.messagesTaken,
                state.bytesTaken + message.count <= limits.bytesTaken
            else {
                state.counts.dropped += 1
                return false
            }
            state.messagesTaken += 1
            state.bytesTaken += message.count
            return true
        }
        guard isTaken else { return }
        // Reading it takes milliseconds if it is large, and the broker's thread has other things to do.
        Task {
            await read(message, from: node)
            state.withLock { state in
                state.messagesTaken -= 1
                state.bytesTaken -= message.count
            }
        }
    }

    private func read(_ message: [UInt8], from node: NodeID) async {
        guard let head = ClusterMessage.Head(of: message) else {
            return state.withLock { $0.counts.dropped += 1 }
        }
        guard head.method != nil else {
            return state.withLock { state in
                if !state.open.answer(head.id, from: node, message) { state.counts.ignored += 1 }
            }
        }
        let mayAnswer = state.withLock { state in
            guard state.answering < limits.answers else {
                state.counts.dropped += 1
                return false
            }
            state.answering += 1
            state.counts.answers += 1
            return true
        }
        if mayAnswer {
            broker.send(await answer(to: message, head), to: node)
            state.withLock { $0.answering -= 1 }
        } else if let busy = try? ClusterMessage.answer(head.id, VarlinkError.cluster("Busy")) {
            broker.send(busy, to: node)
        }
    }

    /// The other nodes that are there, in the order of their names.
    func others() async throws(ControlError) -> [NodeDescription] {
        try await nodes().filter { $0.id != id }
    }

    /// All nodes that are there, in the order of their names.
    func nodes() async throws(ControlError) -> [NodeDescription] {
        let nodes = await within(limits.patience) { [broker] in await broker.nodes() ?? [] } ?? []
        guard !nodes.isEmpty else {
            throw .unavailable("the broker does not say which nodes there are, so nothing was done on any of them")
        }
        let ids = Set(nodes.map(\.id))
        state.withLock { $0.mute.formIntersection(ids) }
        return nodes.sorted { ($0.name, $0.id.rawValue) < ($1.name, $1.id.rawValue) }
    }

    /// What some nodes answered.
    struct Answers<Reply: Sendable>: Sendable {
        var replies: [(node: NodeDescription, reply: Reply)] = []
        /// The names of the nodes that did not answer, or answered with an error.
        var silent: [String] = []
    }

    /// Asks nodes, and waits for their answers.
    ///
    /// - Parameters:
    ///   - toAll: whether the nodes are all others; those that come to be at this moment get the question, too.
    ///   - isEnough: whether no other answer is needed.
    func ask<Reply: Decodable & Sendable>(
        _ method: String, _ parameters: some Encodable, of nodes: [NodeDescription], toAll: Bool = true,
        returning: Reply.Type = Reply.self, until isEnough: (Reply) -> Bool = { _ in false }
    ) async throws(ControlError) -> Answers<Reply> {
        var result = Answers<Reply>()
        guard !nodes.isEmpty else { return result }
        let (answers, continuation) = OpenQuestions.Answers.makeStream()
        let ids = Set(nodes.map(\.id))
        let begun = state.withLock { state -> (id: Int, patience: Duration)? in
            guard state.open.count < limits.questions else { return nil }
            state.counts.questions += 1
            let patience = ids.isSubset(of: state.mute) ? limits.patienceWithMute : limits.patience
            return (state.open.begin(to: ids, mute: state.mute, continuation), patience)
        }
        guard let (id, patience) = begun else {
            throw .unavailable("\(limits.questions) questions to other nodes are open")
        }
        defer { state.withLock { $0.open.end(id) } }
        guard let message = try? ClusterMessage.question(id, from: name, method, parameters) else {
            throw .invalidParameter("message")
        }
        guard message.count <= limits.messageByteCount else {
            throw .questionTooLarge(byteCount: message.count, limit: limits.messageByteCount)
        }
        if toAll { broker.send(message, to: nil) } else { for node in nodes { broker.send(message, to: node.id) } }
        let timer = Task {
            try? await Task.sleep(for: patience)
            continuation.finish()
        }
        defer { timer.cancel() }
        let names = Dictionary(nodes.map { ($0.id, $0) }) { first, _ in first }
        var replies: [NodeID: Reply] = [:]
        var late = ids
        for await (node, message) in answers {
            late.remove(node)
            switch Self.reply(message, Reply.self) {
            case .success(let reply):
                replies[node] = reply
                if isEnough(reply) { return Answers(replies: names[node].map { [($0, reply)] } ?? []) }
            case .failure(let error):
                report("node \(names[node]?.name ?? "\(node)") could not answer \(method): \(error)")
            }
        }
        for node in nodes {
            if let reply = replies[node.id] {
                result.replies.append((node, reply))
            } else {
                result.silent.append(node.name)
            }
        }
        // Whoever asked may have gone, and then nobody was waited for.
        if Task.isCancelled { late = [] }
        let (silences, newlyMute) = (result.silent.count, late)
        state.withLock { state in
            state.counts.silences += silences
            state.mute.formUnion(newlyMute)
        }
        return result
    }

    /// Checks that a question can be sent, before anything is done here.
    func check(_ parameters: some Encodable) throws(ControlError) {
        // The rest of a message is small.
        let byteCount = ((try? VarlinkJSON.encode(parameters).count) ?? 0) + 1024
        guard byteCount <= limits.messageByteCount else {
            throw .questionTooLarge(byteCount: byteCount, limit: limits.messageByteCount)
        }
    }

    private static func reply<Reply: Decodable>(
        _ message: [UInt8], _ type: Reply.Type
    ) -> Result<Reply, VarlinkError> {
        do {
            return try VarlinkJSON.decode(VarlinkReply<Reply>.self, from: message).result
        } catch {
            return .failure(.cluster("NotUnderstood", ["reason": .string(VarlinkJSON.reason(error))]))
        }
    }
}

/// The result of work that may hang; nil if it takes longer than a time. The work goes on by itself.
package func within<Value: Sendable>(
    _ time: Duration, _ work: @escaping @Sendable () async -> Value
) async -> Value? {
    let (results, continuation) = AsyncStream.makeStream(of: Value.self)
    let worker = Task {
        continuation.yield(await work())
        continuation.finish()
    }
    let timer = Task {
        try? await Task.sleep(for: time)
        continuation.finish()
    }
    defer {
        worker.cancel()
        timer.cancel()
    }
    return await results.first { _ in true }
}
