import Base
import Testing
import WebSocket

@testable import Engine

@Suite("What is remembered of endings")
struct EndingTests {
    private func refused(
        _ cause: RefusalCause = .notFound, at time: Int, of address: String = "192.0.2.1", text: String = ""
    ) -> Ending {
        Ending(time: Int64(time), reason: .refused(cause), text: text, address: IPAddress(address)!)
    }

    private func closed(_ cause: CloseCause, at time: Int, of address: String = "192.0.2.1") -> Ending {
        Ending(time: Int64(time), reason: .closed(cause, .normal), text: "", address: IPAddress(address)!)
    }

    /// All that is kept, by its time.
    private func all(_ endings: EndingLogs) -> [Ending] { endings.all { _ in true }.sorted { $0.time < $1.time } }

    /// How many came, those included that are only counted.
    private func total(_ endings: [Ending]) -> Int { endings.reduce(0) { $0 + 1 + ($1.omitted?.count ?? 0) } }

    @Test func `a flood of refusals leaves the closes as they were, and the other way round`() {
        var endings = EndingLogs(capacity: 64)
        for time in 0..<10 { endings.append(closed(.kicked, at: time)) }
        for time in 10..<20 { endings.append(refused(.origin, at: time)) }
        for time in 20..<15_020 { endings.append(refused(.notFound, at: time)) }
        for time in 15_020..<30_020 { endings.append(closed(.rateLimited, at: time)) }
        let labels = all(endings).map(\.label)
        #expect(labels.count == 64)
        #expect(labels.count { $0 == "kicked" } == 10 && labels.count { $0 == "origin" } == 10)
    }

    @Test func `a flood of one cause keeps its first and its last, and counts those in between`() {
        var endings = EndingLogs(capacity: 32)
        endings.append(refused(.origin, at: 5, of: "192.0.2.9"))
        for number in 0..<15_000 { endings.append(refused(at: 1_000 + number, of: "192.0.2.\(number % 200)")) }
        let kept = all(endings)
        #expect(kept.count == 16 && total(kept) == 15_001)
        #expect(kept[0].label == "origin" && kept[0].omitted == nil)
        #expect(kept[1].time == 1_000 && kept[15].time == 15_999)
        let omitted = Ending.Omitted(count: 14_985, first: 1_001, last: 15_985, isOfOneAddress: false)
        #expect(kept[1].omitted == omitted)
    }

    @Test func `a flood of one address leaves what is known of others of the same cause`() {
        var endings = EndingLogs(capacity: 64)
        for number in 0..<8 { endings.append(refused(at: number, of: "198.51.100.\(number)")) }
        // A customer has as many addresses of IPv6 as it likes.
        for number in 0..<15_000 {
            endings.append(refused(at: 100 + number, of: "2001:db8::\(String(number, radix: 16))"))
        }
        let kept = all(endings)
        #expect(kept.prefix(8).map(\.time) == Array(0..<8) && total(kept) == 15_008)
        #expect(kept[8].time == 100 && kept.last?.time == 15_099)
        #expect(kept[8].omitted?.isOfOneAddress == false)
    }

    @Test func `several floods keep their ends, until they are old`() {
        var endings = EndingLogs(capacity: 40)
        for flood in 0..<3 {
            for number in 0..<1_000 { endings.append(refused(at: flood * 1_000_000 + number)) }
        }
        let kept = all(endings)
        #expect(kept.count == 20 && total(kept) == 3_000)
        #expect(kept.prefix(4).map(\.time) == [0, 999, 1_000_000, 1_000_999])
        #expect(kept[0].omitted == Ending.Omitted(count: 998, first: 1, last: 998, isOfOneAddress: true))
        // What is far apart is no flood: the oldest go.
        for number in 0..<100 { endings.append(refused(at: 10_000_000 + 100_000 * number)) }
        #expect(all(endings).map(\.time) == (80..<100).map { 10_000_000 + 100_000 * $0 })
        #expect(all(endings).allSatisfy { $0.omitted == nil })
    }

    @Test func `never more than so many are kept, nor more than so many bytes`() {
        var log = EndingLog(capacity: 100, byteCapacity: 20_000)
        var random = Seeded(seed: 14)
        for step in 0..<20_000 {
            let cause = RefusalCause(rawValue: UInt8.random(in: 0..<16, using: &random)) ?? .host
            let text = String(repeating: "x", count: Int.random(in: 0..<500, using: &random))
            let address = "192.0.2.\(Int.random(in: 0..<(step < 10_000 ? 3 : 200), using: &random))"
            log.append(refused(cause, at: step * Int.random(in: 1...100, using: &random), of: address, text: text))
            #expect(log.count <= 100 && log.byteCount <= 20_000)
        }
        #expect(log.count > 10 && log.entries.map(\.byteCount).reduce(0, +) == log.byteCount)
    }

    @Test func `one that is too large stays alone`() {
        var log = EndingLog(capacity: 10, byteCapacity: 1_000)
        for time in 0..<3 { log.append(refused(at: time, text: String(repeating: "x", count: 5_000))) }
        #expect(log.entries.map(\.time) == [2])
    }

    @Test func `an answer has the newest, and of a flood half at most, with its first`() {
        var all = (0..<100).map { closed(.kicked, at: $0 * 100_000, of: "198.51.100.1") }
        let flood = 20_000_000
        all += (0..<15_000).map { refused(at: flood + $0) }
        all += [closed(.reset, at: flood + 7_000, of: "198.51.100.2")]
        let told = Ending.digest(all.shuffled(), limit: 20)
        #expect(told.count == 20)
        #expect(told.prefix(9).map(\.time) == (0..<9).map { Int64(flood + 14_999 - $0) })
        #expect(told[9].time == Int64(flood))
        let first = Int64(flood + 1)
        #expect(
            told[9].omitted
                == Ending.Omitted(count: 14_990, first: first, last: first + 14_989, isOfOneAddress: true))
        #expect(told[10].label == "reset" && told[11].time == 9_900_000 && told[19].time == 9_100_000)
    }

    @Test func `an answer that is of a flood only has as much of it as there is room for`() {
        let flood = (0..<15_000).map { refused(at: $0) }
        let told = Ending.digest(flood, limit: 20)
        #expect(told.count == 20 && total(told) == 15_000 && told[19].omitted?.count == 14_980)
        #expect(Ending.digest(flood, limit: 1).map(\.time) == [14_999])
        #expect(Ending.digest(Array(flood.prefix(20)), limit: 20).allSatisfy { $0.omitted == nil })
        #expect(Ending.digest([], limit: 20).isEmpty)
    }
}
