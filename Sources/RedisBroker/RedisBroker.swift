package import Base
package import Broker
import NIOCore
import NIOPosix
import Synchronization

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
package final class RedisBroker: Broker {
    /// A call that waits for the event loop.
    enum Call: Sendable {
        case publish([OutgoingBatch])
        case subscribe([Subscription])
        case unsubscribe([String])
        case change([PresenceChange])
        case members(channel: String, token: UInt64)
        case send([UInt8], NodeID?)
        case nodes(EventLoopPromise<[NodeDescription]?>)
    }

    private struct Inbox {
        var calls: [Call] = []
        /// Whether a job on the loop is going to take them.
        var isScheduled = false
        /// Whether there is no loop any more.
        var isClosed = false
    }

    private let options: Options
    private let group: MultiThreadedEventLoopGroup
    private let loop: any EventLoop
    private let inbox = Mutex(Inbox())
    private let core: NIOLoopBoundBox<RedisCore?>
    private let snapshot = StatisticsBox()

    package let traits = BrokerTraits(ordersChannels: true, keepsHistory: true, tracksPresence: true)

    package init(_ options: Options) {
        self.options = options
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        loop = group.next()
        core = NIOLoopBoundBox.makeEmptyBox(valueType: RedisCore.self, eventLoop: loop)
    }

    /// What has been done so far, from any thread.
    package var statistics: RedisStatistics { snapshot.value }

    package func start(_ sink: any BrokerSink) {
        loop.execute { [core, options, loop, snapshot] in
            let started = RedisCore(loop, options, sink, snapshot)
            core.value = started
            started.start()
        }
    }

    package func publish(_ batches: [OutgoingBatch]) { call(.publish(batches)) }
    package func subscribe(_ subscriptions: [Subscription]) { call(.subscribe(subscriptions)) }
    package func unsubscribe(_ channels: [String]) { call(.unsubscribe(channels)) }
    package func change(_ changes: [PresenceChange]) { call(.change(changes)) }
    package func askForMembers(of channel: String, token: UInt64) { call(.members(channel: channel, token: token)) }
    package func send(_ message: [UInt8], to node: NodeID?) { call(.send(message, node)) }

    package func nodes() async -> [NodeDescription]? {
        let promise = loop.makePromise(of: [NodeDescription]?.self)
        call(.nodes(promise))
        return try? await promise.futureResult.get()
    }

    package func stop(within time: Duration) async {
        await withCheckedContinuation { continuation in
            let isClosed = inbox.withLock { inbox in
                defer { inbox.isClosed = true }
                return inbox.isClosed
            }
            if isClosed { return continuation.resume() }
            loop.execute { [self] in
                takeCalls()
                guard let core = core.value else { return continuation.resume() }
                core.stop(within: TimeAmount(time)) { continuation.resume() }
            }
        }
        try? await group.shutdownGracefully()
    }

    private func call(_ call: Call) {
        // In the lock, so that the loop is not gone in between.
        inbox.withLock { inbox in
            if inbox.isClosed {
                if case .nodes(let promise) = call { promise.succeed(nil) }
                return
            }
            inbox.calls.append(call)
            if !inbox.isScheduled { loop.execute { [self] in takeCalls() } }
            inbox.isScheduled = true
        }
    }

    private func takeCalls() {
        let calls = inbox.withLock { inbox in
            defer {
                inbox.calls = []
                inbox.isScheduled = false
            }
            return inbox.calls
        }
        if let core = core.value { return core.perform(calls) }
        for case .nodes(let promise) in calls { promise.succeed(nil) }
    }
}

/// The last statistics, for any thread.
final class StatisticsBox: Sendable {
    private let statistics = Mutex(RedisStatistics())

    var value: RedisStatistics {
        get { statistics.withLock(\.self) }
        set { statistics.withLock { $0 = newValue } }
    }
}
