package import Base
package import Broker
package import NIOCore
import NIOPosix
import Synchronization

/// A call of a broker that waits for its event loop.
package enum BrokerCall: Sendable {
    case publish([OutgoingBatch])
    case subscribe([Subscription])
    case unsubscribe([String])
    case change([PresenceChange])
    case members(channel: String, token: UInt64)
    case send([UInt8], NodeID?)
    case nodes(EventLoopPromise<[NodeDescription]?>)
}

/// The part of a broker that belongs to its event loop.
package protocol BrokerCore: AnyObject {
    func start()
    func perform(_ calls: [BrokerCall])
    /// Sends what is there and disconnects, or disconnects when the time is over, and calls `body`.
    func stop(within time: TimeAmount, then body: @escaping () -> Void)
}

/// The calls that wait for a broker's event loop. One job on the loop takes all that are there.
package final class BrokerInbox: Sendable {
    private struct State {
        var calls: [BrokerCall] = []
        /// Whether a job on the loop is going to take them.
        var isScheduled = false
        /// Whether there is no loop any more.
        var isClosed = false
    }

    private let group: MultiThreadedEventLoopGroup
    private let loop: any EventLoop
    private let state = Mutex(State())
    private let core: NIOLoopBoundBox<(any BrokerCore)?>

    package init() {
        group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        loop = group.next()
        core = NIOLoopBoundBox.makeEmptyBox(valueType: (any BrokerCore).self, eventLoop: loop)
    }

    /// Makes the core on the loop, and starts it.
    package func start(_ make: @escaping @Sendable (any EventLoop) -> any BrokerCore) {
        loop.execute { [self] in
            let started = make(loop)
            core.value = started
            started.start()
            // Those that came before.
            takeCalls()
        }
    }

    package func call(_ call: BrokerCall) {
        // In the lock, so that the loop is not gone in between.
        state.withLock { state in
            if state.isClosed {
                if case .nodes(let promise) = call { promise.succeed(nil) }
                return
            }
            state.calls.append(call)
            if !state.isScheduled { loop.execute { [self] in takeCalls() } }
            state.isScheduled = true
        }
    }

    package func nodes() async -> [NodeDescription]? {
        let promise = loop.makePromise(of: [NodeDescription]?.self)
        call(.nodes(promise))
        return try? await promise.futureResult.get()
    }

    package func stop(within time: Duration) async {
        await withCheckedContinuation { continuation in
            let isClosed = state.withLock { state in
                defer { state.isClosed = true }
                return state.isClosed
            }
            if isClosed { return continuation.resume() }
            loop.execute { [self] in
                takeCalls()
                guard let core = core.value else {
                    for case .nodes(let promise) in state.withLock({ $0.calls }) { promise.succeed(nil) }
                    return continuation.resume()
                }
                core.stop(within: TimeAmount(time)) { continuation.resume() }
            }
        }
        try? await group.shutdownGracefully()
    }

    private func takeCalls() {
        guard let core = core.value else { return }
        let calls = state.withLock { state in
            defer {
                state.calls = []
                state.isScheduled = false
            }
            return state.calls
        }
        core.perform(calls)
    }
}

/// A broker whose state belongs to an event loop of its own.
package protocol LoopBroker: Broker {
    var inbox: BrokerInbox { get }
}

extension LoopBroker {
    package func publish(_ batches: [OutgoingBatch]) { inbox.call(.publish(batches)) }
    package func subscribe(_ subscriptions: [Subscription]) { inbox.call(.subscribe(subscriptions)) }
    package func unsubscribe(_ channels: [String]) { inbox.call(.unsubscribe(channels)) }
    package func change(_ changes: [PresenceChange]) { inbox.call(.change(changes)) }
    package func askForMembers(of channel: String, token: UInt64) {
        inbox.call(.members(channel: channel, token: token))
    }
    package func send(_ message: [UInt8], to node: NodeID?) { inbox.call(.send(message, node)) }
    package func nodes() async -> [NodeDescription]? { await inbox.nodes() }
    package func stop(within time: Duration) async { await inbox.stop(within: time) }
}

/// The last statistics of a broker, for any thread.
package final class StatisticsBox: Sendable {
    private let statistics = Mutex(BrokerStatistics())

    package init() {}

    package var value: BrokerStatistics {
        get { statistics.withLock(\.self) }
        set { statistics.withLock { $0 = newValue } }
    }
}
