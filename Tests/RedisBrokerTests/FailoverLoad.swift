import Base
import Broker
import Synchronization
import Testing

/// Nodes that publish to channels with a history and one without, one batch after the other, until it ends; then what
/// the nodes have seen is compared with what was accepted.
final class FailoverLoad: Sendable {
    struct Result {
        /// The longest time in which nothing was accepted in a channel.
        var longestPause: Duration = .zero
        var accepted = 0
        var refused = 0
        /// Accepted texts that a node did not see, and was told so.
        var toldLost = 0
        var gaps = 0
        var renumberings = 0
    }

    private struct Progress {
        var accepted: [String: Set<String>] = [:]
        var refused = 0
        var lastAcceptance: [String: ContinuousClock.Instant] = [:]
        var longestPause: Duration = .zero
        var isOver = false
    }

    private let nodes: [BrokerNode]
    private let channels: [(name: String, history: HistoryLimits?)]
    private let progress = Mutex(Progress())

    init(_ nodes: [BrokerNode], channels: [String], isWithoutHistory: Bool = true) {
        self.nodes = nodes
        self.channels =
            channels.map { ($0, BrokerConformance.limits) } + (isWithoutHistory ? [("none", nil)] : [])
    }

    /// Runs `body` under load.
    func run(_ body: () async throws -> Void) async throws -> Result {
        for node in nodes {
            for (name, history) in channels { try await node.subscribe(name, history: history) }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (place, node) in nodes.enumerated() {
                for (name, history) in channels {
                    group.addTask { await self.publish(place, node, name, history) }
                }
            }
            do {
                try await self.moves(50)
                try await body()
                try await self.moves(50)
            } catch {
                self.progress.withLock { $0.isOver = true }
                throw error
            }
            self.progress.withLock { $0.isOver = true }
            try await group.waitForAll()
        }
        return try await check()
    }

    /// Waits until as many more batches have been accepted in every channel.
    func moves(_ count: Int) async throws {
        let before = progress.withLock { $0.accepted.mapValues(\.count) }
        try await BrokerConformance.eventually("\(count) more batches in each channel") {
            let now = self.progress.withLock { $0.accepted.mapValues(\.count) }
            return self.channels.allSatisfy { now[$0.name, default: 0] >= before[$0.name, default: 0] + count }
        }
    }

    private func publish(_ place: Int, _ node: BrokerNode, _ channel: String, _ history: HistoryLimits?) async {
        var index = 0
        while !progress.withLock(\.isOver) {
            index += 1
            let text = "\(place):\(index)"
            let wasAccepted = (try? await node.publishAndWait(channel, [text], history: history)) != nil
            progress.withLock { progress in
                guard wasAccepted else { return progress.refused += 1 }
                progress.accepted[channel, default: []].insert(text)
                let now = ContinuousClock.now
                progress.longestPause = max(progress.longestPause, now - (progress.lastAcceptance[channel] ?? now))
                progress.lastAcceptance[channel] = now
            }
            try? await Task.sleep(for: .milliseconds(4))
        }
    }

    /// Compares what the nodes saw: one order, nothing twice, nothing lost without a word.
    private func check() async throws -> Result {
        for (name, history) in channels {
            try await nodes[0].publishAndWait(name, ["last"], history: history)
            for node in nodes {
                try await node.record.wait("the last in \(name)") { $0.seen[.init(name)]?.last == "last" ? () : nil }
            }
        }
        let progress = progress.withLock(\.self)
        var result = Result(longestPause: progress.longestPause, refused: progress.refused)
        for (name, _) in channels {
            let accepted = progress.accepted[name] ?? []
            result.accepted += accepted.count
            var endings: [[String]] = []
            for node in nodes {
                let state = node.record.now
                let seen = state.seen[.init(name)] ?? []
                let gaps = seen.count { $0 == "gap" }
                let renumbered = state.renumbered[.init(name)] ?? []
                result.gaps += gaps
                result.renumberings += renumbered.count
                let parts = seen.split(separator: "renumbered", omittingEmptySubsequences: false)
                for part in parts {
                    let texts = part.filter { $0 != "gap" }
                    #expect(Set(texts).count == texts.count, "\(name): something was delivered twice")
                    for place in nodes.indices {
                        let own = texts.filter { $0.hasPrefix("\(place):") }.compactMap { Int($0.dropFirst(2)) }
                        #expect(own == own.sorted(), "\(name): a node's batches are not in their order")
                    }
                }
                var numbers: [String: UInt64] = [:]
                for batch in state.batches[.init(name)] ?? [] where batch.numberedCount > 0 {
                    #expect(batch.firstSeq > numbers[batch.position.epoch] ?? 0)
                    numbers[batch.position.epoch] = batch.position.seq
                }
                let all = Set(seen).union(renumbered.flatMap(\.history))
                let lost = accepted.subtracting(all)
                if gaps == 0, renumbered.isEmpty { #expect(lost.isEmpty, "\(name): \(lost.count) lost silently") }
                result.toldLost += lost.count
                endings.append((renumbered.last?.history ?? []) + (parts.last ?? []).filter { $0 != "gap" })
            }
            // Where there was a gap, one node may have seen what another has not.
            let common = endings.dropFirst().reduce(Set(endings[0])) { $0.intersection($1) }
            let orders = endings.map { $0.filter(common.contains) }
            #expect(orders.allSatisfy { $0 == orders[0] }, "\(name) has two orders")
        }
        return result
    }
}
