import Rooms

/// What one turn of a worker's loop has to send: pieces of segments per connection, collected while input is read and
/// flushed at the turn's end, so that whatever a turn produced for a connection leaves with one send.
///
/// A piece refers to its segment by number; the table holds the one reference. Nothing is retained per subscriber.
struct Turn {
    struct Piece {
        var segment: UInt32
        /// The connection's next piece; `Connection.noPiece` at the end.
        var next: UInt32
        var start: Int
        var end: Int
    }

    /// The number of the segment that collects answers to single connections (pongs, closes, handshakes).
    static let direct: UInt32 = 0

    /// Set in a segment's number: it is one of `missed`.
    static let missedBit: UInt32 = 1 << 31

    /// Messages that connections have missed, by number; each is for one.
    private(set) var missed: ContiguousArray<HistorySlice> = []
    /// Segments by number; nil at 0 until the direct one is finished at the turn's end.
    private(set) var segments: ContiguousArray<Segment?> = [nil]
    private(set) var pieces: ContiguousArray<Piece> = []
    /// Slots of the connections that have something to flush.
    private(set) var dirty: ContiguousArray<UInt32> = []
    /// Slots of the connections that ended in this turn.
    private(set) var dead: ContiguousArray<UInt32> = []

    /// Makes a segment known to the turn and returns its number.
    mutating func add(_ segment: Segment) -> UInt32 {
        segments.append(segment)
        return UInt32(segments.count - 1)
    }

    mutating func setDirect(_ segment: Segment) { segments[Int(Turn.direct)] = segment }

    /// Queues a piece behind what the connection already has in this turn.
    @inline(__always)
    mutating func push(_ segment: UInt32, start: Int, end: Int, to record: UnsafeMutablePointer<Connection>, slot: Int)
    {
        let last = Int(record.pointee.lastPiece)
        if record.pointee.firstPiece != Connection.noPiece, pieces[last].segment == segment, pieces[last].end == start {
            pieces[last].end = end
            return
        }
        let index = UInt32(truncatingIfNeeded: pieces.count)
        pieces.append(Piece(segment: segment, next: Connection.noPiece, start: start, end: end))
        if record.pointee.firstPiece == Connection.noPiece {
            record.pointee.firstPiece = index
        } else {
            pieces[Int(record.pointee.lastPiece)].next = index
        }
        record.pointee.lastPiece = index
        markDirty(record, slot: slot)
    }

    /// Queues messages that a connection has missed.
    mutating func push(missed slice: HistorySlice, to record: UnsafeMutablePointer<Connection>, slot: Int) {
        missed.append(slice)
        record.pointee.flags.insert(.isOwed)
        push(UInt32(missed.count - 1) | Turn.missedBit, start: 0, end: 0, to: record, slot: slot)
    }

    /// Has the connection flushed at the turn's end.
    @inline(__always)
    mutating func markDirty(_ record: UnsafeMutablePointer<Connection>, slot: Int) {
        guard !record.pointee.flags.contains(.dirty) else { return }
        record.pointee.flags.insert(.dirty)
        dirty.append(UInt32(truncatingIfNeeded: slot))
    }

    mutating func markDead(_ slot: Int) { dead.append(UInt32(slot)) }

    mutating func forgetDirty() { dirty.removeAll(keepingCapacity: dirty.count < 65_536) }
    mutating func forgetDead() { dead.removeAll(keepingCapacity: dead.count < 65_536) }

    /// Forgets the turn's pieces and lets go of its segments. Arrays that a burst made large are given back.
    mutating func reset() {
        pieces.removeAll(keepingCapacity: pieces.count < 65_536)
        segments.removeAll(keepingCapacity: true)
        segments.append(nil)
        missed.removeAll()
    }
}
