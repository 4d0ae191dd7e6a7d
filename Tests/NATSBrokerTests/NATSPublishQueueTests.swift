import Base
import Broker
import BrokerSupport
import NIOCore
import NIOPosix
import Testing

@testable import NATSBroker

@Suite("Batches that no stream has answered yet")
struct NATSPublishQueueTests {
    @Test("What is refused while there is no connection is let go of")
    func refused() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let loop = group.next()
        let record = BrokerRecord()
        let core = NIOLoopBoundBox<NATSCore?>.makeEmptyBox(valueType: NATSCore.self, eventLoop: loop)
        try await loop.submit {
            let options = NATSBroker.Options([NATSAddress(host: "127.0.0.1", port: 1)], node: .random())
            core.value = NATSCore(loop, options, record, StatisticsBox())
        }.get()
        for number in 1...30 as ClosedRange<UInt64> {
            let batch = OutgoingBatch(
                channel: "c\(number % 3)", number: number, numberedCount: 1,
                publications: [UInt8](repeating: 0, count: 15), history: nil,
                deadline: ContinuousTime.nanoseconds(in: .milliseconds(number % 2 == 0 ? 10 : 30)))
            try await loop.submit { core.value?.perform([.publish([batch])]) }.get()
        }
        try await record.wait("all refused") { $0.answers.values.map(\.count).reduce(0, +) == 30 ? () : nil }
        #expect(try await loop.submit { core.value?.publishing.waiting.count }.get() == 0)
        #expect(try await loop.submit { core.value?.statistics.queuedBytes }.get() == 0)
        try await loop.submit { core.value = nil }.get()
        try await group.shutdownGracefully()
    }
}
