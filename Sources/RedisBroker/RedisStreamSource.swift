package import Broker
import BrokerSupport
package import NIOCore

/// A stream on a Redis server as a source of records, read through a consumer group that all nodes share.
///
/// A group alone would give each node a part of the records, and so no order to those of a channel. So one node at a time
/// reads: the one that holds a lease, a key that expires unless it is renewed. All nodes read as the same consumer of the
/// group, `wsd`, so that the next reader finds what the last one left unacknowledged, and begins with that.
///
/// | Key | What it is |
/// | --- | --- |
/// | `STREAM` | The stream, with the group. |
/// | `STREAM:GROUP:reader` | The lease: the name of the node, a slash, and what tells it apart from others of that name. |
package final class RedisStreamSource: LoopRecordSource {
    /// What a source needs to know.
    package struct Options: Sendable {
        /// The key of the stream.
        package var stream: String
        package var group: String
        /// Whether a new group begins with the oldest record.
        package var readsFromBeginning = false
        /// The stream for records that can't be published; nil if they are only acknowledged.
        package var deadLetter: String?
        /// The name of this node.
        package var nodeName = "wsd"
        /// The size of the largest record that is read.
        package var recordByteCount = 1 << 20
        /// The time after which a reader that is not heard of is replaced.
        package var lease: Duration = .seconds(5)

        package init(stream: String, group: String) {
            self.stream = stream
            self.group = group
        }
    }

    package let loop: any EventLoop
    private let term = ReadingTerm()
    package let reader: NIOLoopBoundBox<RedisStreamReader?>

    /// - Parameter server: where the server is, and how one logs in.
    package init(_ options: Options, at server: RedisBroker.Options, on loop: any EventLoop) {
        self.loop = loop
        reader = NIOLoopBoundBox.makeEmptyBox(valueType: RedisStreamReader.self, eventLoop: loop)
        var server = server
        server.decoderLimits = RedisStreamReader.decoderLimits(recordByteCount: options.recordByteCount)
        loop.execute { [self, server] in
            reader.value = RedisStreamReader(loop, options, server, term)
        }
    }

    package var state: SourceState { term.state }

    package func start() { loop.execute { [self] in reader.value?.start() } }

    package func isCurrent(_ term: UInt64) -> Bool { self.term.isCurrent(term) }
}
