import Base
import Channels
import Glibc

extension Segment {
    func write(to state: inout StateWriter) {
        state.write(count: frameEnds.count)
        var start = 0
        for end in frameEnds {
            state.write(count: end - start)
            start = end
        }
        state.write(count: messageCount)
        state.write(count: binaryCount)
        state.write(isTornAtFront)
        state.write(bytes)
    }

    static func read(from state: inout StateReader, meter: ByteMeter?) throws(StateError) -> Segment {
        let count = try state.elementCount()
        try state.require(count > 0, "a segment without a frame")
        var sizes: [Int] = []
        sizes.reserveCapacity(count)
        var total = 0
        for _ in 0..<count {
            let size = try state.count(atMost: Int(Int32.max))
            try state.require(size > 0, "an empty frame")
            total += size
            sizes.append(size)
        }
        let messageCount = try state.count(atMost: count)
        let binaryCount = try state.count(atMost: messageCount)
        let isTorn = try state.flag()
        let bytes = try state.bytes()
        try state.require(bytes.count == total, "frames without their bytes")
        var builder = SegmentBuilder(meter)
        builder.append(raw: bytes, frameSizes: sizes, messageCount: messageCount, binaryCount: binaryCount)
        return builder.finish(isTornAtFront: isTorn)
    }
}

/// The segments that have been read from a state. Each worker has written those that its clients wait for, most of which
/// wait at other workers, too: they are one object again.
final class KnownSegments {
    private struct Content: Hashable {
        let segment: Segment

        static func == (one: Content, other: Content) -> Bool {
            let (one, other) = (one.segment, other.segment)
            guard one.frameEnds == other.frameEnds, one.isTornAtFront == other.isTornAtFront,
                (one.messageCount, one.binaryCount) == (other.messageCount, other.binaryCount),
                let bytes = one.bytes.baseAddress, let others = other.bytes.baseAddress, one.count == other.count
            else { return false }
            return memcmp(bytes, others, one.count) == 0
        }

        func hash(into hasher: inout Hasher) { hasher.combine(bytes: segment.bytes) }
    }

    private var contents: Set<Content> = []

    /// The first segment with the same frames.
    func first(like segment: Segment) -> Segment {
        contents.insert(Content(segment: segment)).memberAfterInsert.segment
    }
}

/// The objects that the backlogs and histories of a state share.
struct SharedOutputWriter {
    var segments = SharedWriter<Segment>()
    var blocks = SharedWriter<HistoryBlock>()
}

struct SharedOutputReader {
    var segments = SharedReader<Segment>()
    var blocks = SharedReader<HistoryBlock>()
    /// Count the segments and the blocks.
    let frames: ByteMeter
    let history: ByteMeter
    /// What other workers' sections have; nil if there is only one.
    var known: KnownSegments?
}

extension Backlog {
    /// The number of a piece of missed messages; others have that of their kind.
    private static let missedByte: UInt8 = 3

    /// Writes what waits. A segment or block that others refer to, too, is written once.
    func write(to state: inout StateWriter, now: UInt32, _ shared: inout SharedOutputWriter) {
        state.write(isOverLimitReported)
        state.write(now &- progressAt)
        let pieces = waiting.filter { !$0.isEmpty }
        state.write(count: pieces.count)
        for piece in pieces {
            if let missed = piece.missed {
                state.write(byte: Self.missedByte)
                missed.write(to: &state, &shared.blocks)
                continue
            }
            state.write(byte: piece.kind.rawValue)
            shared.segments.write(piece.segment, to: &state) { piece.segment.write(to: &$0) }
            state.write(count: piece.start)
            state.write(count: piece.count)
        }
    }

    convenience init(
        from state: inout StateReader, now: UInt32, _ shared: inout SharedOutputReader
    ) throws(StateError) {
        let isReported = try state.flag()
        self.init(now: now &- min(try state.number(), WorkerClock.firstTick - 1))
        isOverLimitReported = isReported
        let (frames, history, known) = (shared.frames, shared.history, shared.known)
        for _ in 0..<(try state.elementCount(ofAtLeast: 4)) {
            let byte = try state.byte()
            if byte == Self.missedByte {
                append(missed: try HistorySlice(from: &state, &shared.blocks, meter: history))
                continue
            }
            guard let kind = Kind(rawValue: byte) else { throw state.error("a piece of no kind") }
            let segment = try shared.segments.read(from: &state) { (state) throws(StateError) in
                let segment = try Segment.read(from: &state, meter: frames)
                return known?.first(like: segment) ?? segment
            }
            let start = try state.count(atMost: segment.count)
            let count = try state.count(atMost: segment.count - start)
            try state.require(count > 0, "an empty piece")
            append(Piece(segment: segment, start: start, end: start + count, kind: kind))
        }
    }
}
