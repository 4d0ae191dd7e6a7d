package import Broker
package import BrokerSupport

/// A broker that keeps its channels in streams of NATS' JetStream, 2.9 or newer.
///
/// ## What is kept there
///
/// `P` is the prefix, `wsd` unless configured otherwise. `C` is a channel's name, of which all but letters, digits, `_` and
/// `-` is written as `=` and two hexadecimal digits. `N` is the limit of a history in messages, 0 for none, and `L` the
/// time in seconds for which a numbering lives.
///
/// | Name | What it is |
/// | --- | --- |
/// | `P_N_L` | A stream of the subjects `P.ch.N-L.>`, which keeps N messages of each and a few more, or one, for L, and publishes them again on `P.live.>`. |
/// | `P_users` | A stream of the subjects `P.users.C.U`: for each user of a channel the nodes where the user is, as ``UserRow`` writes them. |
/// | `P.beat`, `P.hello`, `P.bye` | What nodes say of themselves. |
/// | `P.back` | A node that was taken for gone, and was heard of since: it writes its users again. |
/// | `P.nodes`, `P.node.<node>` | Messages between nodes: the sender, a colon and the bytes. |
///
/// A message of a channel is a batch: `last:count:epoch:node:number:` and the publications, as in ``LiveHeader``. It is
/// published on `P.ch.N-L.C` with the header `Nats-Expected-Last-Subject-Sequence`: the place of the channel's message
/// that it follows, whose last number it counts on from. The stream refuses it if another one has come in between. What
/// has no number is published on `P.live.C` itself, and kept by nobody.
///
/// ## How it works
///
/// All state belongs to an event loop of its own, and to one connection.
package final class NATSBroker: LoopBroker {
    package let inbox = BrokerInbox()
    private let options: Options
    private let snapshot = StatisticsBox()

    package let traits = BrokerTraits(ordersChannels: true, keepsHistory: true, tracksPresence: true)

    package init(_ options: Options) { self.options = options }

    /// What has been done so far, from any thread.
    package var statistics: BrokerStatistics { snapshot.value }

    package func start(_ sink: any BrokerSink) {
        inbox.start { [options, snapshot] loop in NATSCore(loop, options, sink, snapshot) }
    }
}
