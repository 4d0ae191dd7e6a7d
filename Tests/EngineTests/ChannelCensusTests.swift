import Operations
import Testing

@testable import Engine

@Suite("A census of channels")
struct ChannelCensusTests {
    @Test func `adds up what each worker tells, and what one tells twice counts once`() {
        var census = ChannelCensus(after: nil, limit: 10)
        census.add(ChannelRow(name: "b", connections: 1), ofWorker: 0)
        census.add(ChannelRow(name: "a", connections: 2), ofWorker: 0)
        census.add(ChannelRow(name: "b", connections: 4), ofWorker: 0)
        census.add(ChannelRow(name: "b", connections: 8), ofWorker: 1)
        census.add(ChannelRow(name: "b", connections: 16), ofWorker: 1)
        #expect(
            census.result.channels == [
                ChannelRow(name: "a", connections: 2), ChannelRow(name: "b", connections: 20),
            ])
        #expect(!census.result.hasMore)
    }

    @Test func `has the first behind a name, however many there are and in whatever order they come`() {
        let names = (10_000..<50_000).map { "room:\($0)" }
        var census = ChannelCensus(after: "room:10099", limit: 3)
        for worker in 0..<2 {
            for name in names.shuffled() {
                census.add(ChannelRow(name: name, connections: 1), ofWorker: worker)
            }
        }
        #expect(census.result.hasMore)
        #expect(
            census.result.channels
                == ["room:10100", "room:10101", "room:10102"].map { ChannelRow(name: $0, connections: 2) })
    }
}
