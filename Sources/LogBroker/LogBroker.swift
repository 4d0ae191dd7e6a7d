package import Base
package import Broker
package import BrokerSupport

/// A broker that is a log, such as a topic of Kafka or a stream of RabbitMQ: what is appended to a partition is read by
/// all nodes in the same order.
///
/// ## How it works
///
/// A channel is in one partition, by its name. Each node reads all partitions, and so knows the numbering, the history
/// and the users of all channels: `LogChannels` and `LogUsers` are what anybody finds who reads. A plugin in C talks to
/// the broker, as `wsd-plugin.h` says; records are as ``LogRecord`` writes them.
///
/// A node that starts reads what was written during the window before. A channel that somebody is subscribed to is
/// mentioned at least once in each half of a window, so that its numbering goes on even if all nodes start anew.
///
/// All state belongs to an event loop of its own.
package final class LogBroker: LoopBroker {
    package let inbox = BrokerInbox()
    private let plugin: LogPlugin
    private let options: Options
    private let snapshot = StatisticsBox()

    package let traits = BrokerTraits(ordersChannels: true, keepsHistory: true, tracksPresence: true)

    package init(_ plugin: LogPlugin, _ options: Options) {
        self.plugin = plugin
        self.options = options
    }

    /// What has been done so far, from any thread.
    package var statistics: BrokerStatistics { snapshot.value }

    package func start(_ sink: any BrokerSink) {
        inbox.start { [plugin, options, snapshot] loop in LogCore(loop, plugin, options, sink, snapshot) }
    }

    /// What a broker needs to know.
    package struct Options: Sendable {
        /// Where the broker is, for messages.
        package var place: String
        /// What the plugin is told.
        package var plugin: [(key: String, value: String)]
        /// The time that is read of what was written before the start. The history of a channel goes back no further.
        package var window: Duration = .seconds(300)
        /// The most bytes of all channels' histories.
        package var historyByteLimit = 256 << 20
        /// The time within which a connection that does not work any more is noticed.
        package var probeInterval: Duration = .seconds(2)
        /// The time after which a node that is not heard of is gone, and its users with it.
        package var presenceTTL: Duration = .seconds(10)
        /// This node.
        package var node: NodeID
        /// What other nodes show of this one; nil is its identity alone.
        package var nodeDescription: NodeDescription?

        package init(_ place: String, plugin: [(key: String, value: String)], node: NodeID) {
            self.place = place
            self.plugin = plugin
            self.node = node
        }
    }
}
