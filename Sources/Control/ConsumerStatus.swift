/// A source outside whose records are published, as this node sees it.
package struct ConsumerStatus: Codable, Sendable, Hashable {
    /// What this node does with a source.
    package enum State: String, Codable, Sendable {
        /// It reads the source.
        case reading
        /// Another node does.
        case standby
        /// It can't be read.
        case down
    }

    /// The kind of source, such as `redis-stream`.
    package var source: String
    /// The name of the stream.
    package var stream: String
    /// The consumer group.
    package var group: String
    /// What this node does with it.
    package var state: State
    /// The node that reads it, if that is another one.
    package var reader: String?
    /// The reason why it can't be read, or why its records are not published; nil if all is well.
    package var problem: String?
    /// The records that this node has published.
    package var published: Int
    /// The records that this node found impossible to publish.
    package var rejected: Int
    /// The records that nobody has read yet; nil if this is not known.
    package var lag: Int?
    /// The records that were read and are not acknowledged; nil if this is not known.
    package var pending: Int?

    /// A source at one moment.
    package init(
        source: String, stream: String, group: String, state: State, reader: String? = nil, problem: String? = nil,
        published: Int, rejected: Int, lag: Int? = nil, pending: Int? = nil
    ) {
        self.source = source
        self.stream = stream
        self.group = group
        self.state = state
        self.reader = reader
        self.problem = problem
        self.published = published
        self.rejected = rejected
        self.lag = lag
        self.pending = pending
    }
}
