import Channels
import WebSocket

/// The output that waits for one connection whose socket is full: references into shared segments, copies of frames for
/// this connection alone, and missed messages, which are fetched from the history as the socket takes them.
///
/// Only the owning worker's thread touches it.
final class Backlog {
    /// The kind of a piece, which decides whether a queue policy may drop it.
    enum Kind: UInt8 {
        /// Messages of channels, and pongs: they count towards the limit, and are dropped by whole frames beyond it.
        case shared = 0
        /// Answers to the connection's own requests, and close frames. They are never dropped: a connection with too
        /// many of them isn't read.
        case own = 1
        /// Missed messages that the connection has been promised.
        case owed = 2
    }

    struct Piece {
        let segment: Segment
        var start: Int
        var end: Int
        var kind = Kind.shared
        /// The missed messages to fetch when the piece is due, instead of bytes of a segment.
        var missed: HistorySlice?

        var count: Int { end - start }
        /// Whether nothing of the piece is to be sent, now or later.
        var isEmpty: Bool { start == end && missed == nil }
        /// The number of frames that begin in the piece.
        var frameCount: Int { segment.frameCount(from: start, to: end) }
    }

    /// The size in bytes up to which copies are merged.
    private static let smallByteCount = 1024
    /// The size in bytes of the waiting answers, and the number of answers with missed messages, up to which a
    /// connection's requests are read.
    private static let unreadByteCount = 64 * 1024
    private static let unreadMissedCount = 64
    /// The bytes of missed messages that are fetched at a time.
    private static let chunkByteCount = 64 * 1024
    private static let noSegment = Segment(copying: [])
    /// Replaces a piece that is sent or dropped: its place may stay for a while, but its segment is released.
    private static let nothing = Piece(segment: noSegment, start: 0, end: 0)

    private(set) var pieces: [Piece] = []
    private var head = 0
    /// The index of a piece before which, from `head` on, there is no shared one.
    private var firstShared = 0
    /// The number of pieces after `head` that have been dropped entirely.
    private var emptyCount = 0
    /// The bytes that wait, without missed messages that are still to be fetched.
    private(set) var byteCount = 0
    private(set) var ownByteCount = 0
    private(set) var sharedByteCount = 0
    /// The size of the missed messages that are still to be fetched, in bytes.
    private(set) var missedByteCount = 0
    /// The number of pieces of such messages.
    private(set) var missedCount = 0
    /// Whether the backlog has been counted and reported as over the limit.
    var isOverLimitReported = false
    /// The tick at which the socket last took bytes.
    var progressAt: UInt32

    init(now: UInt32) { progressAt = now }

    var isEmpty: Bool { head == pieces.count }
    var waiting: ArraySlice<Piece> { pieces[head...] }
    /// The number of frames of which nothing is sent yet.
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

    /// Appends missed messages; they are fetched from the history as the socket takes them.
    func append(missed slice: HistorySlice) {
        guard slice.messageCount > 0 else { return }
        missedByteCount += slice.byteCount
        missedCount += 1
        pieces.append(Piece(segment: Backlog.noSegment, start: 0, end: 0, kind: .owed, missed: slice))
    }

    /// Adds a piece to the counts, or, with -1, subtracts it.
    private func note(_ piece: Piece, _ sign: Int) {
        byteCount += sign * piece.count
        frameCount += sign * piece.frameCount
        switch piece.kind {
        case .shared: sharedByteCount += sign * piece.count
        case .own: ownByteCount += sign * piece.count
        case .owed: break
        }
    }

    /// Appends a copy of this connection's part of a segment that holds the answers to many connections, so that the
    /// few bytes waiting here don't keep the whole segment. Small copies are merged: a pong of 2 bytes has no piece of
    /// its own.
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

    /// Whether missed messages are due.
    var owesMissed: Bool { head < pieces.count && pieces[head].missed != nil }

    /// Fetches the next missed messages if they are due. Returns the size of their frames in bytes.
    ///
    /// - Parameter text: the text to write them in; its content is lost.
    @discardableResult
    func fetchMissed(_ meter: ByteMeter, _ text: inout MessageText) -> Int {
        guard head < pieces.count, var slice = pieces[head].missed else { return 0 }
        missedByteCount -= slice.byteCount
        var builder = SegmentBuilder(meter)
        let channel = slice.quotedChannel
        while slice.messageCount > 0, builder.count < Backlog.chunkByteCount {
            slice.takeFirst { text.write($0, quotedChannel: channel) }
            text.withBytes { builder.append(.text, payload: $0) }
        }
        missedByteCount += slice.byteCount
        if slice.messageCount > 0 {
            pieces[head].missed = slice
        } else {
            missedCount -= 1
            pieces.remove(at: head)
        }
        let chunk = builder.finish()
        let piece = Piece(segment: chunk, start: 0, end: chunk.count, kind: .owed)
        pieces.insert(piece, at: head)
        note(piece, 1)
        return chunk.count
    }

    /// Removes `count` bytes, which the socket took, from the front.
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

    /// Removes pieces that are sent or dropped, once they are half of all: each piece is moved about once.
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

    /// The index of the oldest piece of shared frames; nil without one.
    private func oldestShared() -> Int? {
        var index = max(head, firstShared)
        while index < pieces.count, pieces[index].kind != .shared || pieces[index].isEmpty { index += 1 }
        firstShared = index
        return index < pieces.count ? index : nil
    }

    /// Whether more bytes wait than the limit allows. A single frame may be larger, because it could never be sent
    /// otherwise.
    func isOver(_ limit: Int) -> Bool {
        guard sharedByteCount > limit, let index = oldestShared() else { return false }
        let first = pieces[index]
        return first.count < sharedByteCount || first.segment.frameEnd(containing: first.start) < first.end
    }

    /// Whether so many answers wait that no more requests are read.
    var isFullOfAnswers: Bool {
        ownByteCount > Backlog.unreadByteCount || missedCount > Backlog.unreadMissedCount
    }

    /// Whether so few answers wait that requests are read again.
    var hasRoomForAnswers: Bool {
        ownByteCount <= Backlog.unreadByteCount / 2 && missedCount <= Backlog.unreadMissedCount / 2
    }

    /// Whether a frame is partly sent.
    var isTorn: Bool { torn != nil }

    /// The rest of the first frame if that is partly sent; it has to be finished before anything else.
    private var torn: Piece? {
        guard var first = waiting.first, first.missed == nil, first.segment.isTorn(at: first.start) else { return nil }
        first.end = min(first.segment.frameEnd(containing: first.start), first.end)
        return first
    }

    /// Drops whole shared frames from the front until `limit` is met, except a frame that is partly sent and the last
    /// one left. Returns the number of dropped frames.
    func dropOldest(limit: Int) -> Int {
        var dropped = 0
        setTornApart()
        let torn = torn
        while sharedByteCount > limit, var index = oldestShared() {
            if index == head, let torn, pieces[index].start < torn.end {
                // A frame that is partly sent stays.
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

    /// Splits the rest of a frame that is partly sent off as a piece of its own.
    private func setTornApart() {
        guard let torn, torn.kind == .shared, torn.end < pieces[head].end else { return }
        pieces[head].start = torn.end
        pieces.insert(torn, at: head)
        firstShared = head
        // Frames are counted by where they begin, so the counts don't change.
    }

    /// Drops whole shared frames from the back until `limit` is met, except the first one. Returns the number of
    /// dropped frames.
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

    /// Drops everything but the rest of a frame that is partly sent. Returns the number of dropped frames.
    func dropAll() -> Int {
        let torn = torn
        let before = frameCount
        pieces = torn.map { [$0] } ?? []
        head = 0
        (firstShared, emptyCount) = (0, 0)
        (byteCount, frameCount, ownByteCount, sharedByteCount) = (0, 0, 0, 0)
        (missedByteCount, missedCount) = (0, 0)
        for piece in pieces { note(piece, 1) }
        return before - frameCount
    }
}
