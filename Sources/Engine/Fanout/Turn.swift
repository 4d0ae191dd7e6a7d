import Channels

/// The output of one turn of a worker's loop: pieces of segments per connection, collected while input is read and
/// flushed at the turn's end, so that all of a turn's output for a connection leaves with one send.
///
/// A piece refers to its segment by number; the table holds the only reference. Nothing is retained per subscriber.
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

    /// The bit in a segment's number that marks it as an index in `missed`.
    static let missedBit: UInt32 = 1 << 31

    /// Missed messages by number; each slice is for one connection.
    private(set) var missed: ContiguousArray<HistorySlice> = []
    /// Segments by number; number 0 is nil until the direct segment is finished at the turn's end.
    private(set) var segments: ContiguousArray<Segment?> = [nil]
    private(set) var pieces: ContiguousArray<Piece> = []
    /// The slots of the connections that have something to flush.
    private(set) var dirty: ContiguousArray<UInt32> = []
    /// The slots of the connections that ended in this turn.
    private(set) var dead: ContiguousArray<UInt32> = []

    /// Adds a segment to the turn and returns its number.
    mutating func add(_ segment: Segment) -> UInt32 {
        segments.append(segment)
        return UInt32(segments.count - 1)
    }

    mutating func setDirect(_ segment: Segment) { segments[Int(Turn.direct)] = segment }

    /// Queues a piece after the connection's other pieces in this turn.
    @inline(__always)
    mutating func push(_ segment: UInt32, start: Int, end: Int, to connection: Connection) {
        let last = Int(connection.lastPiece)
        if connection.firstPiece != Connection.noPiece, pieces[last].segment == segment, pieces[last].end == start {
            pieces[last].end = end
            return
        }
        let index = UInt32(truncatingIfNeeded: pieces.count)
        pieces.append(Piece(segment: segment, next: Connection.noPiece, start: start, end: end))
        if connection.firstPiece == Connection.noPiece {
            connection.firstPiece = index
        } else {
            pieces[Int(connection.lastPiece)].next = index
        }
        connection.lastPiece = index
        markDirty(connection)
    }

    /// Queues missed messages for a connection.
    mutating func push(missed slice: HistorySlice, to connection: Connection) {
        missed.append(slice)
        connection.flags.insert(.isOwed)
        push(UInt32(missed.count - 1) | Turn.missedBit, start: 0, end: 0, to: connection)
    }

    /// Marks the connection to be flushed at the turn's end.
    @inline(__always)
    mutating func markDirty(_ connection: Connection) {
        guard !connection.flags.contains(.dirty) else { return }
        connection.flags.insert(.dirty)
        dirty.append(UInt32(truncatingIfNeeded: connection.slot))
    }

    mutating func markDead(_ slot: Int) { dead.append(UInt32(slot)) }

    mutating func forgetDirty() { dirty.removeAll(keepingCapacity: dirty.count < 65_536) }
    mutating func forgetDead() { dead.removeAll(keepingCapacity: dead.count < 65_536) }

    /// Forgets the turn's pieces and releases its segments. Arrays that a burst made large are freed.
    mutating func reset() {
        pieces.removeAll(keepingCapacity: pieces.count < 65_536)
        segments.removeAll(keepingCapacity: true)
        segments.append(nil)
        missed.removeAll()
    }
}
