import Base
import Broker
import BrokerSupport
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import LogBroker

/// What becomes of what was not appended at once.
@Suite(.blocking) struct LogWriterTests {
    @Test("Batches that were refused while the broker is away are kept no longer")
    func refused() async throws {
        let log = FakeLog()
        let options = LogBroker.Options("the log", plugin: log.options, node: .first)
        let record = BrokerRecord()
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let kept = try await loop.submit {
            let core = LogCore(loop, FakeLog.plugin, options, record, StatisticsBox())
            let partition = LogPartition(core, 0, of: 1)
            for number in 1...3 {
                partition.writer.append(
                    .batch(
                        OutgoingBatch(
                            channel: "c", number: UInt64(number), numberedCount: 0, publications: [], history: nil,
                            deadline: ContinuousTime.nanoseconds(in: .milliseconds(number)))))
            }
            return NIOLoopBound((core, partition), eventLoop: loop)
        }.get()
        try await record.wait("the refusals") { $0.answers["c"]?.count == 3 ? () : nil }
        #expect(try await loop.submit { kept.value.1.writer.count }.get() == 0)
        log.end()
    }

    @Test("What the broker may have is appended again as the same, also if another attempt has certainly failed")
    func uncertain() async throws {
        let log = FakeLog()
        let node = try await log.node()
        try await node.subscribe("c")
        let attempts = Atomic<Int>(0)
        log.judge { record, _ in
            guard case .publications = record.content else { return .taken }
            return attempts.add(1, ordering: .relaxed).newValue == 1 ? .delayed : .refused
        }
        let number = node.publish("c", ["m1"])
        try await BrokerConformance.eventually("two attempts have failed") { attempts.load(ordering: .relaxed) > 2 }
        // Now the first attempt comes, and the next one is taken as well.
        log.judge { _, _ in .taken }
        _ = try await node.accepted("c", number)
        try await node.publishAndWait("c", ["m2"])
        try await node.record.sees("c", ["m1", "m2"])
        await node.broker.stop(within: .seconds(5))
        log.end()
    }

    @Test("What has failed when the log is replaced is appended once, and takes the room of one")
    func replaced() async throws {
        let log = FakeLog()
        let node = try await log.node()
        try await node.subscribe("c")
        let losses = Atomic<Int>(0)
        log.judge { record, _ in
            guard case .publications = record.content else { return .taken }
            losses.add(1, ordering: .relaxed)
            return .lost
        }
        let text = String(repeating: "x", count: 20_000)
        let numbers = (0..<25).map { node.publish("c", ["\($0)" + text]) }
        try await BrokerConformance.eventually("all are lost") { losses.load(ordering: .relaxed) >= 25 }
        log.judge { _, _ in .taken }
        log.replace(Murmur2.partition(of: "c", among: 2))
        for number in numbers { _ = try await node.accepted("c", number) }
        // There would be no room for it if some of those counted twice.
        let large = node.publish("c", [String(repeating: "y", count: 800_000)], within: .seconds(20))
        _ = try await node.accepted("c", large)
        await node.broker.stop(within: .seconds(5))
        log.end()
    }
}
