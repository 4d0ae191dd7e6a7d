import Base
import Testing

@testable import Channels

@Suite("A channel's history")
struct HistoryTests {
    private func limits(_ count: Int = 1_000, age: Int64 = 1_000_000, bytes: Int = 1 << 20) -> History.Limits {
        History.Limits(messageCount: count, age: age, byteCount: bytes)
    }

    private func all(_ history: History, after: UInt64 = 0, through: UInt64 = .max) -> [String] {
        var texts: [String] = []
        history.forEach(after: after, through: through) { texts.append(String(decoding: $0.payload, as: UTF8.self)) }
        return texts
    }

    @Test func `keeps the last messages, and all of them in order`() {
        var history = History(limits: limits(3))
        for seq in UInt64(1)...5 { history.append(seq: seq, at: 0, Array("m\(seq)".utf8)) }
        #expect(all(history) == ["m3", "m4", "m5"])
        #expect(all(history, after: 3, through: 4) == ["m4"])
        #expect(history.firstSeq == 3)
        #expect(history.covers(after: 2, newest: 5) && history.covers(after: 5, newest: 5))
        #expect(!history.covers(after: 1, newest: 5) && !history.covers(after: 6, newest: 5))
        #expect(!history.covers(after: 4, newest: 6))
    }

    @Test func `drops what is too old, and what is too much`() {
        var history = History(limits: limits(age: 100))
        for seq in UInt64(1)...4 { history.append(seq: seq, at: Int64(seq) * 40, Array("m".utf8)) }
        #expect(history.firstSeq == 2 && history.expiresAt == 180)
        history.expire(now: 200)
        #expect(history.firstSeq == 3)
        history.expire(now: 1_000)
        #expect(history.count == 0 && history.byteCount == 0 && history.expiresAt == nil)
        var small = History(limits: limits(bytes: 100))
        for seq in UInt64(1)...10 { small.append(seq: seq, at: 0, [UInt8](repeating: 65, count: 20)) }
        #expect(small.count == 2 && small.byteCount <= 100)
        small.append(seq: 11, at: 0, [UInt8](repeating: 65, count: 200))
        #expect(small.count == 0)
    }

    @Test func `is read page by page from the newest`() {
        var history = History(limits: limits())
        for seq in UInt64(1)...10 { history.append(seq: seq, at: 0, [1]) }
        #expect(history.page(before: nil, limit: 4) == 7..<11)
        #expect(history.page(before: 7, limit: 4) == 3..<7)
        #expect(history.hasMore(before: 3))
        #expect(history.page(before: 3, limit: 4) == 1..<3)
        #expect(!history.hasMore(before: 1))
        #expect(history.page(before: 1, limit: 4).isEmpty)
        #expect(history.page(before: 99, limit: 1) == 10..<11)
    }

    @Test func `gives memory back, and costs little beyond its messages`() {
        var history = History(limits: limits(100, bytes: 1 << 30))
        let message = [UInt8](repeating: 65, count: 150)
        for seq in UInt64(1)...100_000 {
            history.append(seq: seq, at: 0, message)
            #expect(history.byteCount <= 100 * 166)
        }
        #expect(all(history).count == 100)
    }

    /// A channel's home and clients that are cut off and come back, at random.
    @Test(arguments: 1...20) func `lets everyone recover exactly what was missed, or says that it can't`(seed: Int) {
        struct Client {
            var seen: [UInt64] = []
            var last: UInt64 = 0
            var isOnline = true
        }
        var random = Seeded(seed: UInt64(seed))
        var history = History(limits: limits(Int.random(in: 1...40, using: &random), age: 60, bytes: 4_000))
        var clients = Array(repeating: Client(), count: 5)
        var seq: UInt64 = 0
        var now: Int64 = 0
        var recoveries = 0
        var refusals = 0
        for _ in 0..<4_000 {
            now += Int64.random(in: 0...3, using: &random)
            let who = Int.random(in: clients.indices, using: &random)
            switch Int.random(in: 0..<10, using: &random) {
            case 0: clients[who].isOnline = false
            case 1 where !clients[who].isOnline:
                history.expire(now: now)
                let missed = seq - clients[who].last
                if history.covers(after: clients[who].last, newest: seq) {
                    var got: [UInt64] = []
                    history.forEach(after: clients[who].last, through: seq) {
                        got.append($0.payload.loadUnaligned(as: UInt64.self))
                    }
                    #expect(got == (0..<missed).map { clients[who].last + 1 + $0 })
                    clients[who].seen += got
                    recoveries += 1
                } else {
                    // Only where the next one it would need is gone.
                    #expect(history.firstSeq.map { $0 > clients[who].last + 1 } ?? true)
                    clients[who].seen += (0..<missed).map { clients[who].last + 1 + $0 }
                    refusals += 1
                }
                clients[who].last = seq
                clients[who].isOnline = true
            default:
                seq += 1
                withUnsafeBytes(of: seq) { history.append(seq: seq, at: now, Array($0)) }
                for index in clients.indices where clients[index].isOnline {
                    clients[index].seen.append(seq)
                    clients[index].last = seq
                }
            }
        }
        for client in clients { #expect(client.seen == (0..<client.last).map { $0 + 1 }) }
        #expect(recoveries > 0 && refusals > 0 && recoveries + refusals > 50)
    }

    @Test("hands out a slice that stays as it is, whatever becomes of it", arguments: [1, 1_000, 9_000])
    func sliced(_ size: Int) {
        let meter = ByteMeter()
        let limits = History.Limits(messageCount: 50, age: .max / 2, byteCount: 1 << 30)
        var history: History? = History(limits: limits, meter: meter)
        for seq in 1...UInt64(130) {
            let text = Array("\(seq)".utf8) + [UInt8](repeating: 0x20, count: size)
            history?.append(seq: seq, at: 0, text)
            guard seq > 60, seq % 7 == 0 else { continue }
            let after = seq - (seq &* 31 % 50 + 1)
            guard var slice = history?.slice(after: after) else {
                Issue.record("no slice after \(after) at \(seq)")
                continue
            }
            #expect(slice.messageCount == Int(seq - after))
            let byteCount = slice.byteCount
            var found: [UInt64] = []
            var taken = 0
            while slice.messageCount > 0 {
                slice.takeFirst {
                    found.append(UInt64(String(decoding: $0.payload.prefix { $0 != 0x20 }, as: UTF8.self)) ?? 0)
                    taken += $0.byteCount
                    #expect($0.seq == found.last)
                }
            }
            #expect(found == Array((after + 1)...seq), "after \(after) at \(seq)")
            #expect(taken == byteCount && slice.byteCount == 0)
            var visited: [UInt64] = []
            history?.forEach(after: after, through: seq) {
                visited.append(UInt64(String(decoding: $0.payload.prefix { $0 != 0x20 }, as: UTF8.self)) ?? 0)
            }
            #expect(visited == found)
        }
        history = nil
        #expect(meter.byteCount == 0, "blocks are given back")
    }

    @Test("has pages that are bounded in bytes, with one message at least")
    func pages() {
        var history = History(limits: History.Limits(messageCount: 100, age: .max / 2, byteCount: 1 << 20))
        for seq in 1...UInt64(20) {
            history.append(seq: seq, at: 0, [UInt8](repeating: 0x20, count: 1_000))
        }
        #expect(history.page(before: nil, limit: 1_000, byteCount: 5_500) == 16..<21)
        #expect(history.page(before: 10, limit: 1_000, byteCount: 10) == 9..<10)
        #expect(history.page(before: 10, limit: 3, byteCount: 1 << 20) == 7..<10)
    }
}

extension History {
    fileprivate mutating func append(seq: UInt64, at now: Int64, _ bytes: [UInt8]) {
        bytes.withUnsafeBytes {
            let from = UnsafeRawBufferPointer(rebasing: $0[..<0])
            append(NumberedPublication(.chatText, seq: seq, time: now, from: from, payload: $0))
        }
    }
}
