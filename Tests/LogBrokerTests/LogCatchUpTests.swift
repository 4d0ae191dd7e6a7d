import Base
import Broker
import Testing

@testable import LogBroker

/// How a node reads what was written before it started.
@Suite(.blocking) struct LogCatchUpTests {
    @Test("A node that has much to read is not connected anew for it, as no probe can come back")
    func long() async throws {
        let log = FakeLog()
        log.holdCatchUp(isGrowing: true)
        let node = try await log.node(probeInterval: .milliseconds(40), awaited: false)
        // Three probes would have been lost in half of it.
        try await Task.sleep(for: .milliseconds(1_500))
        #expect(log.openCount == 1)
        log.releaseCatchUp()
        try await node.isUp()
        await node.broker.stop(within: .seconds(5))
        log.end()
    }

    @Test("A node that has to read from the beginning once more knows what it has read before")
    func again() async throws {
        let log = FakeLog()
        let limits = HistoryLimits(messageCount: 10, age: 600_000, byteCount: 1 << 20)
        let first = try await log.node()
        let position = try await first.publishAndWait("c", ["m1"], history: limits)
        log.holdCatchUp()
        let second = try await log.node(.second, probeInterval: .milliseconds(100), awaited: false)
        try await BrokerConformance.eventually("it is connected anew") { log.openCount > 2 }
        log.releaseCatchUp()
        let answer = try await second.subscribe("c", history: limits)
        #expect(answer.position == position && answer.history == ["m1"])
        await BrokerConformance.end([first, second])
        log.end()
    }
}
