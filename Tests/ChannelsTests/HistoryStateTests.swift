import Base
import Testing

@testable import Channels

@Suite("A history that is written down")
struct HistoryStateTests {
    private func state(of history: History) -> [UInt8] {
        var writer = StateWriter()
        var shared = SharedWriter<HistoryBlock>()
        history.write(to: &writer, &shared)
        return writer.bytes
    }

    private func restored(_ bytes: [UInt8], _ limits: History.Limits, _ meter: ByteMeter) throws(StateError) -> History
    {
        try bytes.reading { (state) throws(StateError) in
            var shared = SharedReader<HistoryBlock>()
            let history = try History(from: &state, &shared, limits: limits, meter: meter)
            try state.require(state.isAtEnd, "nothing is left")
            return history
        }
    }

    private func all(_ history: History) -> [String] {
        var rows: [String] = []
        history.forEach(after: 0, through: .max) { rows.append(row($0)) }
        return rows
    }

    private func row(_ publication: NumberedPublication) -> String {
        let from = String(decoding: publication.from, as: UTF8.self)
        let payload = String(decoding: publication.payload, as: UTF8.self)
        return "\(publication.seq) \(publication.time) \(publication.form) \(from) \(payload)"
    }

    private func publish(_ seq: UInt64, at now: Int64, using random: inout Seeded, to histories: inout [History]) {
        let from = Array(["", "alice", "müller"].randomElement(using: &random)?.utf8 ?? "".utf8)
        let size = Int.random(in: 0..<5, using: &random) == 0 ? 9_000 : 40
        let payload = [UInt8](repeating: 0x61, count: Int.random(in: 0...size, using: &random))
        let form = NumberedPublication.Form(rawValue: UInt8.random(in: 0...3, using: &random)) ?? .chatText
        from.withUnsafeBytes { from in
            payload.withUnsafeBytes { payload in
                for index in histories.indices {
                    histories[index].append(
                        NumberedPublication(form, seq: seq, time: now, from: from, payload: payload))
                }
            }
        }
    }

    /// Messages come and expire, once in the history itself and once in one that is read back again and again.
    @Test(arguments: UInt64(1)...20)
    func `goes on as if nothing had happened`(seed: UInt64) throws {
        var random = Seeded(seed: seed)
        let limits = History.Limits(
            messageCount: Int.random(in: 1...60, using: &random), age: Int64.random(in: 50...2_000, using: &random),
            byteCount: 200_000)
        let meter = ByteMeter()
        var both = [History(limits: limits), History(limits: limits, meter: meter)]
        var seq: UInt64 = 0
        var now: Int64 = 1_000
        for step in 0..<300 {
            now += Int64.random(in: 0...20, using: &random)
            switch Int.random(in: 0..<8, using: &random) {
            case 0:
                for index in both.indices { both[index].expire(now: now) }
            case 1:
                both[1] = try restored(state(of: both[1]), limits, meter)
            case 2 where seq > 5:
                let after = seq - UInt64.random(in: 0...5, using: &random)
                for index in both.indices { _ = both[index].slice(after: after) }
            default:
                seq += 1
                publish(seq, at: now, using: &random, to: &both)
            }
            #expect(all(both[1]) == all(both[0]), "seed \(seed), step \(step)")
            #expect(both[1].byteCount == both[0].byteCount && both[1].firstSeq == both[0].firstSeq)
            #expect(both[1].expiresAt == both[0].expiresAt && both[1].newestSeq == both[0].newestSeq)
        }
        both = []
        #expect(meter.byteCount == 0)
    }

    @Test func `shares its blocks with those who missed messages, and keeps to smaller limits`() throws {
        var random = Seeded(seed: 9)
        let limits = History.Limits(messageCount: 1_000, age: 1 << 40, byteCount: 1 << 30)
        var both = [History(limits: limits)]
        for seq in UInt64(1)...400 { publish(seq, at: Int64(seq), using: &random, to: &both) }
        let name = Array("\"room\"".utf8)
        var slices = [100, 250, 399].compactMap { both[0].slice(after: $0, quotedChannel: name) }
        slices[0].removeLast(7)
        slices[1].takeFirst { _ in }
        var writer = StateWriter()
        var shared = SharedWriter<HistoryBlock>()
        for slice in slices { slice.write(to: &writer, &shared) }
        both[0].write(to: &writer, &shared)
        #expect(writer.bytes.count < both[0].byteCount * 11 / 10)

        let meter = ByteMeter()
        try writer.bytes.reading { (state: inout StateReader) throws(StateError) in
            var known = SharedReader<HistoryBlock>()
            for var slice in slices {
                var read = try HistorySlice(from: &state, &known, meter: meter)
                #expect(read.byteCount == slice.byteCount && read.messageCount == slice.messageCount)
                #expect(read.quotedChannel == name)
                var left = read.byteCount
                while slice.messageCount > 0 {
                    var expected = ""
                    slice.takeFirst {
                        expected = row($0)
                        left -= $0.byteCount
                    }
                    read.takeFirst { #expect(row($0) == expected) }
                }
                #expect(read.messageCount == 0 && read.byteCount == 0 && left == 0)
            }
            let few = History.Limits(messageCount: 5, age: 1 << 40, byteCount: 1 << 30)
            let history = try History(from: &state, &known, limits: few, meter: meter)
            #expect(all(history) == Array(all(both[0]).suffix(5)) && state.isAtEnd)
        }
        #expect(meter.byteCount == 0)
    }

    @Test func `never traps on a damaged state`() {
        var random = Seeded(seed: 4)
        let limits = History.Limits(messageCount: 30, age: 1_000, byteCount: 1 << 20)
        var both = [History(limits: limits)]
        for seq in UInt64(1)...60 { publish(seq, at: Int64(seq), using: &random, to: &both) }
        var writer = StateWriter()
        var shared = SharedWriter<HistoryBlock>()
        both[0].slice(after: 50, quotedChannel: Array("\"r\"".utf8))?.write(to: &writer, &shared)
        both[0].write(to: &writer, &shared)
        let meter = ByteMeter()
        var accepted = 0
        writer.bytes.damaged(3_000, seed: 5) { bytes in
            try? bytes.reading { (state: inout StateReader) throws(StateError) in
                var known = SharedReader<HistoryBlock>()
                var slice = try HistorySlice(from: &state, &known, meter: meter)
                var history = try History(from: &state, &known, limits: limits, meter: meter)
                accepted += 1
                while slice.messageCount > 0 { slice.takeFirst { _ in } }
                _ = all(history)
                _ = history.page(before: nil, limit: 100, byteCount: 500)
                _ = history.slice(after: 0)
                var one = [history]
                publish(history.newestSeq + 1, at: 2, using: &random, to: &one)
                history.expire(now: 500)
                history.dropOldest()
                history.expire(now: 1 << 50)
            }
        }
        #expect(accepted > 0 && meter.byteCount == 0)
    }
}
