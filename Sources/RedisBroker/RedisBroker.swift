package import Broker
package import BrokerSupport

/// A broker that keeps its channels on Redis servers, 6.2 or newer, or on Valkey: on one, on the master that Sentinels know,
/// on several that know nothing of each other, or in a cluster of 7.0 or newer.
///
/// ## What is kept there
///
/// `P` is the prefix, `wsd` unless configured otherwise. All keys of a channel are in one slot of a cluster.
///
/// | Key | What it is |
/// | --- | --- |
/// | `P:{c<channel>}:m` | A hash: `e` the epoch, `s` the last number given, `l` the identity `node:number` of the batch with that number, `b` the bytes of all batches so far and `t` how many they were when the history was cut to its size last; and for each node that published, `n:<node>` the number of its last batch, the last number in the channel then, and the time in seconds, as `number:last:time`. It lives a day after its last use, or twice as long as the history, if that is longer. |
/// | `P:{c<channel>}:h` | A stream, the history: a batch is an entry whose ID is the number of its last publication, then `-0`. Its fields are `n` the count of numbered publications, `d` the publications, `o` the identity of the batch, and `b` the bytes of all batches so far, in this order. It lives as long as the history's age. |
/// | `P:{c<channel>}:u`, `…:n` | Hashes of the users: `<node>` NUL `<user>` to `since:announced`, and `<user>` to the number of nodes. |
/// | `P:publish` | The text of the script that publishes. |
/// | `P:nodes` | The set of nodes. |
/// | `P:node:<node>` | A node's lease, with what it says of itself as JSON; gone when it is. `…:c` is the set of channels with users there, `…:gone` says that they are being removed. |
///
/// A channel's messages are published as `last:count:epoch:node:number:` and the publications, on the pub/sub channel
/// `P:c:<channel>`, in a cluster `P:{c<channel>}:c` with sharded pub/sub: the last number given, how many of them are
/// given to this batch, and its identity. Publications are written as ``PublicationWriter`` does. Messages between nodes
/// are the sender, a colon and the bytes, on `P:nodes` and `P:node:<node>`.
///
/// ## How other programs publish
///
/// They run the script with the keys `P:{c<channel>}:m` and `P:{c<channel>}:h`, and the arguments: `P:c:<channel>`, the
/// count of numbered publications, the publications, `-`, `0`, any random text as the epoch of a channel that has none,
/// the limits of its history in messages and bytes, its age, and the life of its numbering, in seconds. In a cluster, `0`,
/// `-`, `0` and `SPUBLISH` follow, and the pub/sub channel is that of a cluster.
///
/// ## How it works
///
/// All state belongs to an event loop of its own. Calls are put in an inbox, and one job on the loop takes all that are
/// there. Two connections are used: one for commands, and one for subscriptions, whose order to each other nothing
/// depends on.
package final class RedisBroker: LoopBroker {
    package let inbox = BrokerInbox()
    private let options: Options
    private let snapshot = StatisticsBox()

    package let traits = BrokerTraits(ordersChannels: true, keepsHistory: true, tracksPresence: true)

    package init(_ options: Options) { self.options = options }

    /// What has been done so far, from any thread.
    package var statistics: BrokerStatistics { snapshot.value }

    package func start(_ sink: any BrokerSink) {
        inbox.start { [options, snapshot] loop in RedisCore(loop, options, sink, snapshot) }
    }
}
