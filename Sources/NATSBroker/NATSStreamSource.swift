package import Broker
import BrokerSupport
package import NIOCore

/// A stream of NATS' JetStream as a source of records, read through a durable consumer that all nodes share.
///
/// A consumer alone would give each node a part of the records, and so no order to those of a channel. So one node at a
/// time reads: the one that holds a lease, a message that the server lets vanish unless it is renewed. What the last
/// reader left unacknowledged is given out again when the consumer's `ack_wait` is over, before anything new: a reader
/// asks for nothing before that.
///
/// | Name | What it is |
/// | --- | --- |
/// | stream `STREAM`, consumer `GROUP` | What is read, and how far. |
/// | stream `wsd_reader_STREAM`, subject `wsd.reader.STREAM.GROUP` | The lease: the name of the node, a slash, and what tells it apart from others of that name; or that it was given away. |
package final class NATSStreamSource: LoopRecordSource {
    /// What a source needs to know.
    package struct Options: Sendable {
        package var stream: String
        /// The subjects of the stream that are read; empty for all.
        package var subject = ""
        /// The name of the durable consumer.
        package var group: String
        /// Whether a new consumer begins with the oldest record.
        package var readsFromBeginning = false
        /// The name of this node.
        package var nodeName = "wsd"
        /// The size of the largest record that is read.
        package var recordByteCount = 1 << 20
        /// The time after which a reader that is not heard of is replaced.
        package var lease: Duration = .seconds(5)
        /// The time after which the server gives out again what is not acknowledged, of a consumer that is made.
        package var acknowledgementWait: Duration = .seconds(5)

        package init(stream: String, group: String) {
            self.stream = stream
            self.group = group
        }
    }

    package let loop: any EventLoop
    private let term = ReadingTerm()
    package let reader: NIOLoopBoundBox<NATSStreamReader?>

    /// - Parameter server: where the server is, and how one logs in.
    package init(_ options: Options, at server: NATSBroker.Options, on loop: any EventLoop) {
        self.loop = loop
        reader = NIOLoopBoundBox.makeEmptyBox(valueType: NATSStreamReader.self, eventLoop: loop)
        loop.execute { [self] in
            reader.value = NATSStreamReader(loop, options, server, term)
        }
    }

    package var state: SourceState { term.state }

    package func start() { loop.execute { [self] in reader.value?.start() } }

    package func isCurrent(_ term: UInt64) -> Bool { self.term.isCurrent(term) }
}
