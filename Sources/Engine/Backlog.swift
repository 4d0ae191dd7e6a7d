import Rooms
import WebSocket

/// What waits for one connection whose socket takes no more: references into shared segments, copies of what is for it
/// alone, and the messages that it missed, which are fetched from the history as the socket takes them.
///
/// Only the owning worker's thread touches it.
final class Backlog {
    /// What a piece is, which decides whether a queue policy may drop it.
    enum Kind {
        /// Messages of channels, and pongs: counted against the limit, and dropped by whole frames where there are too many.
        case shared
        /// Answers to the connection's own requests, and closes. Never dropped: who has too many of them isn't read.
        case own
        /// Messages that the connection has been promised.
        case owed
    }

    struct Piece {
        let segment: Segment
        var start: Int
        var end: Int
        var kind = Kind.shared
        /// What is fetched when the piece is due, in the place of a segment's bytes.
        var missed: HistorySlice?

        var count: Int { end - start }
        /// Whether there is nothing of it to send, now or later.
        var isEmpty: Bool { start == end && missed == nil }
        /// Frames that begin in it.
        var frameCount: Int { segment.frameCount(from: start, to: end) }
    }

    /// Copies are put together until they have so many bytes.
    private static let smallByteCount = 1024
    /// Missed messages that are fetched at once.
    private static let chunkByteCount = 64 * 1024
    private static let noSegment = Segment(copying: [])
    /// In the place of a piece that is sent or dropped: the place may stay for a while, its segment need not.
    private static let nothing = Piece(segment: noSegment, start: 0, end: 0)

    private(set) var pieces: [Piece] = []
    private var head = 0
    /// Nothing shared lies before this piece, unless it is before `head`.
    private var firstShared = 0
    /// Pieces behind `head` of which everything has been dropped.
    private var emptyCount = 0
    /// The bytes that wait, without those that are still to be fetched.
    private(set) var byteCount = 0
    private(set) var ownByteCount = 0
    private(set) var sharedByteCount = 0
    /// Missed messages that are still to be fetched, in bytes.
    private(set) var missedByteCount = 0
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
        if let last = pieces.indices.last, last >= head, !pieces[last].isEmpty, pieces[last].segment === piece.segment,
            pieces[last].end == piece.start, pieces[last].kind == piece.kind
        {
            pieces[last].end = piece.end
        } else {
            pieces.append(piece)
        }
        note(piece, 1)
    }

    /// Appends messages of a history; they are fetched as the socket takes them.
    func append(missed slice: HistorySlice) {
        guard slice.messageCount > 0 else { return }
        missedByteCount += slice.byteCount
        pieces.append(Piece(segment: Backlog.noSegment, start: 0, end: 0, kind: .owed, missed: slice))
    }

    /// Counts a piece, or, with -1, no longer.
    private func note(_ piece: Piece, _ sign: Int) {
        byteCount += sign * piece.count
        frameCount += sign * piece.frameCount
        switch piece.kind {
        case .shared: sharedByteCount += sign * piece.count
        case .own: ownByteCount += sign * piece.count
        case .owed: break
        }
    }

    /// Appends a copy of what this connection has coming out of a segment that holds many connections' answers, which the
    /// few bytes that wait here must not keep. Small copies become one: a pong of 2 bytes has no piece of its own.
    func append(copying segment: Segment, from start: Int, to end: Int) {
        segment.forEachRun(from: start, to: end) { isPong, start, end in
            append(copying: segment, from: start, to: end, isPong ? .shared : .own)
        }
    }

    private func append(copying segment: Segment, from start: Int, to end: Int, _ kind: Kind) {
        var builder = SegmentBuilder(segment.meter)
        var isTorn = segment.isTorn(at: start)
        if let last = waiting.last, last.missed == nil, last.segment.messageCount == 0, last.kind == kind,
            last.count < Backlog.smallByteCount
        {
            isTorn = last.segment.isTorn(at: last.start)
            builder.append(last.segment, from: last.start, to: last.end)
            note(last, -1)
            pieces.removeLast()
        }
        builder.append(segment, from: start, to: end)
        let copy = builder.finish(isTornAtFront: isTorn)
        append(Piece(segment: copy, start: 0, end: copy.count, kind: kind))
    }

    /// Fetches the next of the missed messages where they are due.
    func fetchMissed(_ meter: ByteMeter) {
        guard head < pieces.count, var slice = pieces[head].missed else { return }
        missedByteCount -= slice.byteCount
        var builder = SegmentBuilder(meter)
        while slice.messageCount > 0, builder.count < Backlog.chunkByteCount {
            slice.takeFirst { builder.append(.text, payload: $0) }
        }
        missedByteCount += slice.byteCount
        if slice.messageCount > 0 {
            pieces[head].missed = slice
        } else {
            pieces.remove(at: head)
        }
        let chunk = builder.finish()
        let piece = Piece(segment: chunk, start: 0, end: chunk.count, kind: .owed)
        pieces.insert(piece, at: head)
        note(piece, 1)
    }

    /// The socket took `count` bytes from the front.
    func consume(_ count: Int) {
        var rest = count
        while rest > 0, head < pieces.count {
            let piece = pieces[head]
            note(piece, -1)
            if piece.count > rest {
                pieces[head].start += rest
                note(pieces[head], 1)
                break
            }
            rest -= piece.count
            dropFirstPiece()
        }
    }

    private func dropFirstPiece() {
        pieces[head] = Backlog.nothing
        head += 1
        tidy()
    }

    /// Lets go of pieces that are sent or dropped, once they are half of all: each is moved about once.
    private func tidy() {
        while head < pieces.count, pieces[head].isEmpty {
            pieces[head] = Backlog.nothing
            head += 1
            emptyCount = max(0, emptyCount - 1)
        }
        if head == pieces.count {
            pieces.removeAll()
            (head, firstShared, emptyCount) = (0, 0, 0)
        } else if head + emptyCount >= 64, (head + emptyCount) * 2 >= pieces.count {
            pieces.removeFirst(head)
            pieces.removeAll(where: \.isEmpty)
            (head, firstShared, emptyCount) = (0, 0, 0)
        }
    }

    /// The oldest piece of shared frames.
    private func oldestShared() -> Int? {
        var index = max(head, firstShared)
        while index < pieces.count, pieces[index].kind != .shared || pieces[index].isEmpty { index += 1 }
        firstShared = index
        return index < pieces.count ? index : nil
    }

    /// Whether more waits than the limit allows. One frame alone may be larger: else it could never be sent.
    func isOver(_ limit: Int) -> Bool {
        guard sharedByteCount > limit, let index = oldestShared() else { return false }
        let first = pieces[index]
        return first.count < sharedByteCount || first.segment.frameEnd(containing: first.start) < first.end
    }

    /// The rest of a first frame that is partly sent, which has to be finished before anything else.
    private var torn: Piece? {
        guard var first = waiting.first, first.missed == nil, first.segment.isTorn(at: first.start) else { return nil }
        first.end = min(first.segment.frameEnd(containing: first.start), first.end)
        return first
    }

    /// Drops whole shared frames from the front until `limit` holds; not one that is partly sent, and not the last that is
    /// left. Returns how many.
    func dropOldest(limit: Int) -> Int {
        var dropped = 0
        setTornApart()
        let torn = torn
        while sharedByteCount > limit, var index = oldestShared() {
            if index == head, let torn, pieces[index].start < torn.end {
                // What is partly sent stays.
                index += 1
                while index < pieces.count, pieces[index].kind != .shared || pieces[index].isEmpty { index += 1 }
                guard index < pieces.count else { break }
            }
            let piece = pieces[index]
            let end = min(piece.segment.frameEnd(containing: piece.start), piece.end)
            if torn == nil, sharedByteCount == end - piece.start { break }
            note(piece, -1)
            pieces[index].start = end
            note(pieces[index], 1)
            dropped += 1
            if pieces[index].isEmpty {
                pieces[index] = Backlog.nothing
                emptyCount += 1
            }
        }
        tidy()
        return dropped
    }

    /// Makes the rest of a frame that is partly sent a piece of its own.
    private func setTornApart() {
        guard let torn, torn.kind == .shared, torn.end < pieces[head].end else { return }
        pieces[head].start = torn.end
        pieces.insert(torn, at: head)
        firstShared = head
        // As frames are counted by where they begin, nothing else changes.
    }

    /// Drops whole shared frames from the back until `limit` holds; not the first. Returns how many.
    func dropNewest(limit: Int) -> Int {
        guard sharedByteCount > limit, let first = oldestShared() else { return 0 }
        var dropped = 0
        for index in pieces.indices[first...].reversed() where pieces[index].kind == .shared && !pieces[index].isEmpty {
            guard sharedByteCount > limit else { break }
            while sharedByteCount > limit, !pieces[index].isEmpty {
                let piece = pieces[index]
                let start = max(piece.segment.frameStart(before: piece.end), piece.start)
                if index == first, start == piece.start { break }
                note(piece, -1)
                pieces[index].end = start
                note(pieces[index], 1)
                dropped += 1
            }
            if pieces[index].isEmpty {
                pieces[index] = Backlog.nothing
                emptyCount += 1
            }
        }
        while let last = pieces.last, last.isEmpty, pieces.count > head {
            pieces.removeLast()
            emptyCount -= 1
        }
        tidy()
        return dropped
    }

    /// Drops everything but the rest of a frame that is partly sent. Returns how many frames.
    func dropAll() -> Int {
        let torn = torn
        let before = frameCount
        pieces = torn.map { [$0] } ?? []
        head = 0
        (firstShared, emptyCount) = (0, 0)
        (byteCount, frameCount, ownByteCount, sharedByteCount, missedByteCount) = (0, 0, 0, 0, 0)
        for piece in pieces { note(piece, 1) }
        return before - frameCount
    }
}
