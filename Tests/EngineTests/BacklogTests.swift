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
        for _ in 0..<300 {
            let backlog = Backlog(now: 0)
            var received: [UInt8] = []
            var dropped = 0
            var appended = 0
            for _ in 0..<30 {
                switch Int.random(in: 0..<4) {
                case 0, 1:
                    let sizes = (0..<Int.random(in: 1...4)).map { _ in Int.random(in: 0...20) }
                    let next = segment(sizes)
                    appended += sizes.count
                    if Bool.random() {
                        backlog.append(.init(segment: next, start: 0, end: next.count))
                    } else {
                        backlog.append(copying: next, from: 0, to: next.count)
                    }
                case 2:
                    let count = Int.random(in: 0...backlog.byteCount)
                    received += bytes(backlog).prefix(count)
                    backlog.consume(count)
                default:
                    let limit = Int.random(in: 0...60)
                    dropped += Bool.random() ? backlog.dropOldest(limit: limit) : backlog.dropNewest(limit: limit)
                    #expect(!backlog.isOver(max(limit, 22)))
                    #expect(backlog.byteCount == bytes(backlog).count)
                }
            }
            received += bytes(backlog)
            var frames = 0
            var position = 0
            while position < received.count {
                #expect(received[position] == 0x82)
                let size = Int(received[position + 1])
                #expect(received[(position + 2)..<(position + 2 + size)].allSatisfy { $0 == size })
                position += 2 + size
                frames += 1
            }
            #expect(frames + dropped == appended)
        }
    }
}
