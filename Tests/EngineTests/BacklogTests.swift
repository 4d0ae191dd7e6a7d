import Base
import Channels
import Testing
import WebSocket

@testable import Engine

/// A segment of binary frames with these payload sizes; each frame has a header of two bytes.
private func segment(_ sizes: [Int]) -> Segment {
    var builder = SegmentBuilder()
    for size in sizes {
        [UInt8](repeating: UInt8(size), count: size).withUnsafeBytes { builder.append(.binary, payload: $0) }
    }
    return builder.finish()
}

private func bytes(_ backlog: Backlog) -> [UInt8] {
    backlog.waiting.flatMap { piece in piece.segment.bytes[piece.start..<piece.end] }
}

@Suite struct BacklogTests {
    private func backlog(_ segments: [Segment]) -> Backlog {
        let backlog = Backlog(now: 0)
        for segment in segments { backlog.append(.init(segment: segment, start: 0, end: segment.count)) }
        return backlog
    }

    @Test func copiesThatAreSmallBecomeOnePiece() {
        let backlog = Backlog(now: 0)
        let shared = segment([0, 0, 0])
        // The front of the first frame is sent.
        backlog.append(copying: shared, from: 1, to: 2)
        for _ in 0..<1_000 { backlog.append(copying: shared, from: 2, to: 4) }
        #expect(backlog.byteCount == 2_001)
        #expect(backlog.waiting.count == 2)
        #expect(backlog.dropAll() == 1_000)
        #expect(bytes(backlog) == [0])
    }

    @Test func manyAnswersWithMissedMessagesAreAsManyAsMayWait() throws {
        var history = History(limits: .init(messageCount: 9, age: 1_000, byteCount: 1_000))
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        for seq in UInt64(1)...2 {
            history.append(NumberedPublication(.systemText, seq: seq, time: 1, from: nothing, payload: nothing))
        }
        let slice = history.slice(after: 0, quotedChannel: Array("\"room\"".utf8))
        let missed = try #require(slice)
        let backlog = Backlog(now: 0)
        for _ in 0..<64 { backlog.append(missed: missed) }
        #expect(!backlog.isFullOfAnswers)
        backlog.append(missed: missed)
        #expect(backlog.isFullOfAnswers && !backlog.hasRoomForAnswers)
        var text = MessageText()
        for left in (0..<65).reversed() {
            backlog.consume(backlog.fetchMissed(ByteMeter(), &text))
            #expect(backlog.missedCount == left && backlog.hasRoomForAnswers == (left <= 32))
        }
        #expect(backlog.isEmpty && backlog.missedByteCount == 0)
        for _ in 0..<65 { backlog.append(missed: missed) }
        _ = backlog.dropAll()
        #expect(backlog.missedCount == 0)
    }

    @Test func whatIsSentIsConsumedAcrossPieces() {
        let all = [segment([3, 4]), segment([5])]
        let whole = all.flatMap { Array($0.bytes) }
        let backlog = backlog(all)
        #expect(backlog.byteCount == whole.count)
        for step in [1, 4, 6, 2] {
            let before = bytes(backlog)
            backlog.consume(step)
            #expect(bytes(backlog) == Array(before.dropFirst(step)))
        }
        backlog.consume(backlog.byteCount)
        #expect(backlog.isEmpty)
        #expect(backlog.byteCount == 0)
    }

    @Test func droppingTheOldestKeepsATornFrameAndTheNewest() {
        let backlog = backlog([segment([3, 4]), segment([5, 6])])
        backlog.consume(2)
        // Torn: 3 of the first frame's 5 bytes are left. Limit: that, and the last frame's 8.
        #expect(backlog.dropOldest(limit: 11) == 2)
        #expect(bytes(backlog) == [3, 3, 3] + [0x82, 6, 6, 6, 6, 6, 6, 6])
        #expect(backlog.byteCount == 11)
    }

    @Test func droppingTheNewestKeepsTheOldest() {
        let backlog = backlog([segment([3, 4]), segment([5, 6])])
        #expect(backlog.dropNewest(limit: 12) == 2)
        #expect(bytes(backlog) == [0x82, 3, 3, 3, 3, 0x82, 4, 4, 4, 4, 4])
    }

    @Test func droppingAllKeepsATornFrame() {
        let backlog = backlog([segment([3, 4]), segment([5])])
        #expect(backlog.dropAll() == 3)
        #expect(backlog.isEmpty)
        let torn = self.backlog([segment([3, 4]), segment([5])])
        torn.consume(6)
        #expect(torn.dropAll() == 1)
        #expect(bytes(torn) == [4, 4, 4, 4, 4])
    }

    @Test func oneMessageMayWaitAlone() {
        let backlog = backlog([segment([50])])
        #expect(!backlog.isOver(20))
        #expect(backlog.dropOldest(limit: 20) == 0)
        #expect(backlog.dropNewest(limit: 20) == 0)
        let two = self.backlog([segment([50]), segment([60])])
        #expect(two.isOver(20))
        #expect(two.dropOldest(limit: 20) == 1)
        #expect(bytes(two).count == 62)
    }

    /// Whatever is sent and dropped in whatever order, what comes out is whole frames, in order.
    @Test func framesAreNeverTorn() {
        var random = Seeded()
        for _ in 0..<300 {
            let backlog = Backlog(now: 0)
            var received: [UInt8] = []
            var dropped = 0
            var appended = 0
            for _ in 0..<30 {
                switch Int.random(in: 0..<4, using: &random) {
                case 0, 1:
                    let sizes = (0..<Int.random(in: 1...4, using: &random)).map { _ in
                        Int.random(in: 0...20, using: &random)
                    }
                    let next = segment(sizes)
                    appended += sizes.count
                    if Bool.random(using: &random) {
                        backlog.append(.init(segment: next, start: 0, end: next.count))
                    } else {
                        backlog.append(copying: next, from: 0, to: next.count)
                    }
                case 2:
                    let count = Int.random(in: 0...backlog.byteCount, using: &random)
                    received += bytes(backlog).prefix(count)
                    backlog.consume(count)
                default:
                    let limit = Int.random(in: 0...60, using: &random)
                    dropped +=
                        Bool.random(using: &random)
                        ? backlog.dropOldest(limit: limit) : backlog.dropNewest(limit: limit)
                    #expect(!backlog.isOver(max(limit, 22)), "seed \(random.seed)")
                    #expect(backlog.byteCount == bytes(backlog).count)
                }
            }
            received += bytes(backlog)
            var frames = 0
            var position = 0
            while position < received.count {
                #expect(received[position] == 0x82, "seed \(random.seed)")
                let size = Int(received[position + 1])
                #expect(received[(position + 2)..<(position + 2 + size)].allSatisfy { $0 == size })
                position += 2 + size
                frames += 1
            }
            #expect(frames + dropped == appended, "seed \(random.seed)")
        }
    }

    @Test func answersAndWhatIsOwedAreNeverDropped() {
        let backlog = Backlog(now: 0)
        backlog.append(.init(segment: segment([3]), start: 0, end: 5, kind: .own))
        for _ in 0..<4 {
            let shared = segment([8])
            backlog.append(.init(segment: shared, start: 0, end: shared.count))
        }
        backlog.append(.init(segment: segment([4]), start: 0, end: 6, kind: .own))
        #expect(backlog.isOver(20))
        #expect(backlog.dropOldest(limit: 20) == 2)
        #expect((backlog.byteCount, backlog.ownByteCount, backlog.sharedByteCount) == (31, 11, 20))
        #expect(backlog.dropNewest(limit: 10) == 1)
        let shared = [0x82] + [UInt8](repeating: 8, count: 9)
        #expect(bytes(backlog) == [0x82, 3, 3, 3, 3] + shared + [0x82, 4, 4, 4, 4, 4])
        #expect(!backlog.isOver(0), "one message may wait alone")
    }

    @Test func aCopyOfAnswersKeepsPongsApart() {
        var builder = SegmentBuilder()
        let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
        for opcode in [Opcode.text, .pong, .pong, .text] { builder.append(opcode, payload: nothing) }
        let backlog = Backlog(now: 0)
        backlog.append(copying: builder.finish(isForMany: true), from: 0, to: 8)
        #expect(backlog.waiting.map(\.kind) == [.own, .shared, .own])
        #expect(backlog.dropNewest(limit: 0) == 1, "the first of the pongs stays, as one message may")
        #expect(backlog.ownByteCount == 4)
    }

    @Test func whatIsMissedIsFetchedAsItIsSent() {
        var history = History(limits: .init(messageCount: 10_000, age: 1_000, byteCount: 1 << 30))
        let none = UnsafeRawBufferPointer(start: nil, count: 0)
        var text = MessageText()
        for seq in UInt64(1)...300 {
            [UInt8](repeating: 0x61, count: 1_000).withUnsafeBytes {
                let message = NumberedPublication(.chatText, seq: seq, time: 0, from: none, payload: $0)
                history.append(message)
                text.write(message, quotedChannel: Array("\"room\"".utf8))
            }
        }
        // The numbers of those that are missed have three digits, as the last one has.
        let frameByteCount = text.bytes.count + 4
        let meter = ByteMeter()
        let backlog = Backlog(now: 0)
        let slice = history.slice(after: 100, quotedChannel: Array("\"room\"".utf8))
        #expect(slice?.messageCount == 200)
        if let slice { backlog.append(missed: slice) }
        let live = segment([9])
        backlog.append(.init(segment: live, start: 0, end: live.count))
        #expect(backlog.byteCount == 11 && backlog.missedByteCount == 200_000)
        var sent = 0
        while !backlog.isEmpty {
            backlog.fetchMissed(meter, &text)
            // A piece of history and not all of it.
            #expect(meter.byteCount < 100_000)
            let count = backlog.waiting.prefix { $0.missed == nil }.reduce(0) { $0 + $1.count }
            sent += count
            backlog.consume(count)
        }
        #expect(sent == 200 * frameByteCount + 11 && backlog.missedByteCount == 0)
    }
}
