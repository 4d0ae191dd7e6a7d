/// A source outside whose records are published in channels, such as a stream on a Redis server.
///
/// All nodes of a hub have the same sources. A source gives its records to one node at a time, in its order: that node
/// has the term. What a node leaves unacknowledged at the end of its term is given out again in the next, by whichever
/// node has that, from the oldest record on.
package protocol RecordSource: Sendable {
    /// Begins to connect.
    func start()
    /// Waits for the next records; nil when the source has been stopped or the task cancelled. One call at a time. Records of the last call
    /// that have not been settled since are given out again.
    func next() async -> RecordBatch?
    /// Whether records of a term may still be published: the node may have lost the source to another one.
    func isCurrent(_ term: UInt64) -> Bool
    /// Notes what has become of records, which the source does not give out again. If the source can't be reached, it
    /// hears of it later.
    func settle(_ records: [SettledRecord])
    /// Gives the source to another node, if what was given out has been settled, and disconnects.
    func stop() async
    /// The state, from any thread.
    var state: SourceState { get }
}

/// Records in the order of their source.
package struct RecordBatch: Sendable {
    package var records: [Record]
    /// The term of this node in which they were given out.
    package var term: UInt64

    package init(_ records: [Record], term: UInt64) {
        self.records = records
        self.term = term
    }
}

/// A record of a source.
package struct Record: Sendable {
    /// What a record has in it.
    package enum Content: Sendable {
        case fields([String: [UInt8]])
        /// It is larger than what is read of the source; with its size, if that is known, and what is read, in words.
        case tooLarge(byteCount: Int?, limit: String)
        /// It has been deleted.
        case deleted
    }

    /// What the source calls it.
    package var id: String
    package var content: Content

    package init(id: String, _ content: Content) {
        self.id = id
        self.content = content
    }
}

/// What has become of a record.
package struct SettledRecord: Sendable, Equatable {
    package var id: String
    /// Why it can't be published; nil if it was.
    package var fault: String?

    package init(id: String, fault: String? = nil) {
        self.id = id
        self.fault = fault
    }
}

/// The state of a source.
package struct SourceState: Sendable, Equatable {
    package enum Phase: Sendable, Equatable {
        /// This node reads it.
        case reading
        /// Another node reads it, with this name.
        case standby(reader: String)
        /// It can't be read, for a reason that names it.
        case down(reason: String)
    }

    package var phase: Phase
    /// The records that nobody has read yet; nil if that is not known here.
    package var lag: Int?
    /// The records that were read and are not acknowledged; nil if that is not known here.
    package var pending: Int?

    package init(_ phase: Phase, lag: Int? = nil, pending: Int? = nil) {
        self.phase = phase
        self.lag = lag
        self.pending = pending
    }
}
