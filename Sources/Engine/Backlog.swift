/// What waits for one connection whose socket takes no more: references into shared segments, never copies.
///
/// Only the owning worker's thread touches it.
final class Backlog {
    struct Piece {
        let segment: Segment
        var start: Int
        var end: Int

        var count: Int { end - start }
        /// Frames that begin in it.
        var frameCount: Int { segment.frameCount(from: start, to: end) }
    }

    /// Copies are put together until they have so many bytes.
    private static let smallByteCount = 1024

    private(set) var pieces: [Piece] = []
    private var head = 0
    private(set) var byteCount = 0
    /// Whether it has been counted, and said, that more waits than the limit allows.
    var isOverLimitReported = false
    /// The tick at which the socket last took something.
    var progressAt: UInt32

    init(now: UInt32) { progressAt = now }

    var isEmpty: Bool { head == pieces.count }
    var waiting: ArraySlice<Piece> { pieces[head...] }
    /// Frames of which nothing is sent yet.
    private(set) var frameCount = 0

    func append(_ piece: Piece) {
        guard piece.count > 0 else { return }
        if let last = pieces.indices.last, last >= head, pieces[last].segment === piece.segment,
            pieces[last].end == piece.start
        {
            pieces[last].end = piece.end
        } else {
            pieces.append(piece)
        }
        byteCount += piece.count
        frameCount += piece.frameCount
    }

    /// Appends a copy of what this connection has coming out of a segment that holds many connections' answers, which the
    /// few bytes that wait here must not keep. Small copies become one: a pong of 2 bytes has no piece of its own.
    func append(copying segment: Segment, from start: Int, to end: Int) {
        var builder = SegmentBuilder()
        var isTorn = segment.isTorn(at: start)
        if let last = waiting.last, last.segment.messageCount == 0, last.count < Backlog.smallByteCount {
            isTorn = last.segment.isTorn(at: last.start)
            builder.append(last.segment, from: last.start, to: last.end)
            byteCount -= last.count
            frameCount -= last.frameCount
            pieces.removeLast()
        }
        builder.append(segment, from: start, to: end)
        let copy = builder.finish(isTornAtFront: isTorn)
        append(Piece(segment: copy, start: 0, end: copy.count))
    }

    /// The socket took `count` bytes from the front.
    func consume(_ count: Int) {
        var rest = count
        byteCount -= count
        while rest > 0 {
            let size = pieces[head].count
            if size > rest {
                frameCount -= pieces[head].frameCount
                pieces[head].start += rest
                frameCount += pieces[head].frameCount
                break
            }
            rest -= size
            frameCount -= pieces[head].frameCount
            dropFirstPiece()
        }
    }

    private func dropFirstPiece() {
        head += 1
        if head == pieces.count {
            pieces.removeAll()
            head = 0
        } else if head >= 64, head * 2 >= pieces.count {
            pieces.removeFirst(head)
            head = 0
        }
    }

    /// Whether more waits than the limit allows. One frame alone may be larger: else it could never be sent.
    func isOver(_ limit: Int) -> Bool {
        guard byteCount > limit, let first = waiting.first else { return false }
        return waiting.count > 1 || first.segment.frameEnd(containing: first.start) < first.end
    }

    /// Whether the first frame is partly sent, so that it has to be finished before anything else.
    private var isTorn: Bool {
        guard let first = waiting.first else { return false }
        return first.segment.isTorn(at: first.start)
    }

    /// Drops whole frames from the front until `limit` holds; not one that is partly sent, and not the last that is left.
    /// Returns how many.
    func dropOldest(limit: Int) -> Int {
        guard byteCount > limit, !waiting.isEmpty else { return 0 }
        var torn: Piece?
        if isTorn {
            var first = pieces[head]
            let end = first.segment.frameEnd(containing: first.start)
            torn = Piece(segment: first.segment, start: first.start, end: min(end, first.end))
            first.start = min(end, first.end)
            pieces[head] = first
        }
        var size = byteCount
        var dropped = 0
        while size > limit, head < pieces.count {
            let piece = pieces[head]
            if piece.count == 0 {
                head += 1
                continue
            }
            let end = piece.segment.frameEnd(containing: piece.start)
            if torn == nil, head == pieces.count - 1, end >= piece.end { break }
            size -= min(end, piece.end) - piece.start
            pieces[head].start = min(end, piece.end)
            dropped += 1
        }
        pieces.removeFirst(head)
        head = 0
        pieces.removeAll { $0.count == 0 }
        if let torn { pieces.insert(torn, at: 0) }
        byteCount = pieces.reduce(0) { $0 + $1.count }
        frameCount = pieces.reduce(0) { $0 + $1.frameCount }
        return dropped
    }

    /// Drops whole frames from the back until `limit` holds; not the first. Returns how many.
    func dropNewest(limit: Int) -> Int { dropBack(limit: limit) { _ in false } }

    /// Drops everything but the rest of a frame that is partly sent. Returns how many frames.
    func dropAll() -> Int { dropBack(limit: 0) { isTorn in !isTorn } }

    private func dropBack(limit: Int, mayDropFirst: (_ isTorn: Bool) -> Bool) -> Int {
        var dropped = 0
        while byteCount > limit, let last = pieces.last, head < pieces.count {
            let start = max(last.segment.frameStart(before: last.end), last.start)
            let isFirst = head == pieces.count - 1 && start == last.start
            if isFirst && !mayDropFirst(isTorn) { break }
            byteCount -= last.end - start
            frameCount -= last.segment.frameCount(from: start, to: last.end)
            dropped += 1
            pieces[pieces.count - 1].end = start
            if start == last.start { pieces.removeLast() }
        }
        if head == pieces.count {
            pieces.removeAll()
            head = 0
        }
        return dropped
    }
}
