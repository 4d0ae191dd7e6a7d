import Base
import Operations
import Testing
import WebSocket

@testable import Engine

@Suite("What is remembered of endings")
struct EndingTests {
    private func refused(
        _ cause: RefusalCause = .notFound, at time: Int, of address: String = "192.0.2.1", text: String = ""
    ) -> Event {
        var event = Event(.refuse, millisecondsSinceEpoch: Int64(time))
        event.cause = cause.label
        event.text = text
        event.address = IPAddress(address)
        return event
    }

    private func closed(_ cause: CloseCause, at time: Int, of address: String = "192.0.2.1") -> Event {
        var event = Event(.close, millisecondsSinceEpoch: Int64(time))
        event.cause = cause.label
        event.address = IPAddress(address)
        return event
    }

    /// All that is kept, by its time.
    private func all(_ endings: EndingLogs) -> [Event] { endings.all { _ in true }.sorted { $0.time < $1.time } }

    /// How many came, those included that are only counted.
    private func total(_ endings: [Event]) -> Int { endings.reduce(0) { $0 + 1 + ($1.more?.count ?? 0) } }

    private func others(_ count: Int, from first: Int, to last: Int, sameAddress: Bool) -> Event.Others {
        Event.Others(
            count: count, first: Timestamp(millisecondsSinceEpoch: Int64(first)),
            last: Timestamp(millisecondsSinceEpoch: Int64(last)), sameAddress: sameAddress)
    }

    @Test func `a flood of refusals leaves the closes as they were, and the other way round`() {
        var endings = EndingLogs(capacity: 64)
        for time in 0..<10 { endings.append(closed(.kicked, at: time), .kicked) }
        for time in 10..<20 { endings.append(refused(.origin, at: time), .origin) }
        for time in 20..<15_020 { endings.append(refused(.notFound, at: time), .notFound) }
        for time in 15_020..<30_020 { endings.append(closed(.rateLimited, at: time), .rateLimited) }
        let causes = all(endings).map(\.cause)
        #expect(causes.count == 64)
        #expect(causes.count { $0 == "kicked" } == 10 && causes.count { $0 == "origin" } == 10)
    }

    @Test func `a flood of one cause keeps its first and its last, and counts those in between`() {
        var endings = EndingLogs(capacity: 32)
        endings.append(refused(.origin, at: 5, of: "192.0.2.9"), .origin)
        for number in 0..<15_000 {
            endings.append(refused(at: 1_000 + number, of: "192.0.2.\(number % 200)"), .notFound)
        }
        let kept = all(endings)
        #expect(kept.count == 16 && total(kept) == 15_001)
        #expect(kept[0].cause == "origin" && kept[0].more == nil)
        #expect(kept[1].milliseconds == 1_000 && kept[15].milliseconds == 15_999)
        #expect(kept[1].more == others(14_985, from: 1_001, to: 15_985, sameAddress: false))
    }

    @Test func `a flood of one address leaves what is known of others of the same cause`() {
        var endings = EndingLogs(capacity: 64)
        for number in 0..<8 { endings.append(refused(at: number, of: "198.51.100.\(number)"), .notFound) }
        // A customer has as many addresses of IPv6 as it likes.
        for number in 0..<15_000 {
            endings.append(refused(at: 100 + number, of: "2001:db8::\(String(number, radix: 16))"), .notFound)
        }
        let kept = all(endings)
        #expect(kept.prefix(8).map(\.milliseconds) == Array(0..<8) && total(kept) == 15_008)
        #expect(kept[8].milliseconds == 100 && kept.last?.milliseconds == 15_099)
        #expect(kept[8].more?.sameAddress == false)
    }

    @Test func `several floods keep their ends, until they are old`() {
        var endings = EndingLogs(capacity: 40)
        for flood in 0..<3 {
            for number in 0..<1_000 { endings.append(refused(at: flood * 1_000_000 + number), .notFound) }
        }
        let kept = all(endings)
        #expect(kept.count == 20 && total(kept) == 3_000)
        #expect(kept.prefix(4).map(\.milliseconds) == [0, 999, 1_000_000, 1_000_999])
        #expect(kept[0].more == others(998, from: 1, to: 998, sameAddress: true))
        // What is far apart is no flood: the oldest go.
        for number in 0..<100 { endings.append(refused(at: 10_000_000 + 100_000 * number), .notFound) }
        #expect(all(endings).map(\.milliseconds) == (80..<100).map { 10_000_000 + 100_000 * $0 })
        #expect(all(endings).allSatisfy { $0.more == nil })
    }

    @Test func `never more than so many are kept, nor more than so many bytes`() {
        var log = EndingLog(capacity: 100, byteCapacity: 20_000)
        var random = Seeded(seed: 14)
        for step in 0..<20_000 {
            let cause = RefusalCause(rawValue: UInt8.random(in: 0..<16, using: &random)) ?? .host
            let text = String(repeating: "x", count: Int.random(in: 0..<500, using: &random))
            let address = "192.0.2.\(Int.random(in: 0..<(step < 10_000 ? 3 : 200), using: &random))"
            let time = step * Int.random(in: 1...100, using: &random)
            log.append(refused(cause, at: time, of: address, text: text), cause: cause.rawValue)
            #expect(log.count <= 100 && log.byteCount <= 20_000)
        }
        #expect(log.count > 10 && log.entries.map(\.byteCount).reduce(0, +) == log.byteCount)
    }

    @Test func `one that is too large stays alone`() {
        var log = EndingLog(capacity: 10, byteCapacity: 1_000)
        for time in 0..<3 { log.append(refused(at: time, text: String(repeating: "x", count: 5_000)), cause: 0) }
        #expect(log.entries.map(\.milliseconds) == [2])
    }

    @Test func `an answer has the newest, and of a flood half at most, with its first`() {
        var all = (0..<100).map { closed(.kicked, at: $0 * 100_000, of: "198.51.100.1") }
        let flood = 20_000_000
        all += (0..<15_000).map { refused(at: flood + $0) }
        all += [closed(.reset, at: flood + 7_000, of: "198.51.100.2")]
        let told = Event.digest(all.shuffled(), limit: 20)
        #expect(told.count == 20)
        #expect(told.prefix(9).map(\.milliseconds) == (0..<9).map { Int64(flood + 14_999 - $0) })
        #expect(told[9].milliseconds == Int64(flood))
        let first = flood + 1
        #expect(
            told[9].more == others(14_990, from: first, to: first + 14_989, sameAddress: true))
        #expect(told[10].cause == "reset" && told[11].milliseconds == 9_900_000 && told[19].milliseconds == 9_100_000)
    }

    @Test func `an answer that is of a flood only has as much of it as there is room for`() {
        let flood = (0..<15_000).map { refused(at: $0) }
        let told = Event.digest(flood, limit: 20)
        #expect(told.count == 20 && total(told) == 15_000 && told[19].more?.count == 14_980)
        #expect(Event.digest(flood, limit: 1).map(\.milliseconds) == [14_999])
        #expect(Event.digest(Array(flood.prefix(20)), limit: 20).allSatisfy { $0.more == nil })
        #expect(Event.digest([], limit: 20).isEmpty)
    }
}

extension Event {
    fileprivate var milliseconds: Int64 { time.millisecondsSinceEpoch }
}
