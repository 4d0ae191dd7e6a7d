import Base
import Broker
import NIOCore
import NIOPosix
import Testing

@testable import RedisBroker

/// What is written of users, and when, at a server whose answers the test gives.
@Suite("The users of a node") struct PresenceKeeperTests {
    @Test func `who came while the server was away is announced, and who was there is not`() async throws {
        let announced = try await onALoop { loop in
            let router = StubRouter(loop)
            let keeper = PresenceKeeper(router)
            keeper.allow()
            keeper.change(change("ada"))
            keeper.pump()
            // The subscription is being restored.
            router.isReady = false
            keeper.change(change("bob"))
            keeper.pump()
            keeper.writeAgain(isSilent: true)
            router.isReady = true
            keeper.ready("c")
            return router.announced
        }
        #expect(announced == ["ada", "bob"])
    }

    @Test func `who comes and goes while the server is away is forgotten`() async throws {
        let (isEmpty, announced) = try await onALoop { loop in
            let router = StubRouter(loop)
            let keeper = PresenceKeeper(router)
            keeper.allow()
            keeper.change(change("ada"))
            keeper.pump()
            router.isReachable = false
            for index in 0..<10_000 {
                keeper.change(change("guest-\(index)"))
                keeper.change(change("guest-\(index)", isPresent: false))
            }
            for _ in 0..<10_000 { keeper.change(change("bob")) }
            keeper.change(change("ada", isPresent: false))
            router.isReachable = true
            keeper.connected()
            keeper.change(change("bob", isPresent: false))
            keeper.pump()
            return (keeper.isEmpty, router.announced)
        }
        #expect(isEmpty)
        #expect(announced == ["ada", "bob"])
    }

    @Test func `a node that has come back is not removed further`() async throws {
        let (commands, isDone) = try await onALoop { loop in
            let router = StubRouter(loop)
            router.isLeaseHeld = true
            var isDone = false
            let removal = NodeRemoval(router, NodeID.random()) { isDone = true }
            removal.start()
            return (router.commands, isDone)
        }
        #expect(isDone)
        #expect(commands == ["SET", "SMEMBERS", "EXISTS"])
    }

    @Test func `a node that is gone is removed`() async throws {
        let (commands, isDone) = try await onALoop { loop in
            let router = StubRouter(loop)
            var isDone = false
            let removal = NodeRemoval(router, NodeID.random()) { isDone = true }
            removal.start()
            return (router.commands, isDone)
        }
        #expect(isDone)
        #expect(commands == ["SET", "SMEMBERS", "EXISTS", "HSCAN", "EXISTS", "DEL", "SREM"])
    }

    private func change(_ user: String, isPresent: Bool = true) -> PresenceChange {
        PresenceChange(channel: "c", user: user, isPresent: isPresent, isAnnounced: true, time: 1_000)
    }
}

/// What is delivered of a channel, in which order, if the server's answer comes late.
@Suite("A channel that is subscribed again") struct SubscribedAgainTests {
    @Test func `gets what came before the answer first`() async throws {
        let (events, rest) = try await onALoop { loop in
            var events: [String] = []
            let around = RedisSurroundings(
                emit: { event in
                    switch event {
                    case .subscribed(_, let position, _): events.append("subscribed at \(position.seq)")
                    case .delivered(let batch): events.append("\(batch.position.seq)")
                    default: events.append("\(event)")
                    }
                }, handled: {}, healthChanged: {})
            let options = RedisBroker.Options(.independent([]), prefix: "t")
            let shard = RedisShard(loop, options, RedisLink.Whereabouts(name: "none") { _ in }, around)
            let subscriptions = shard.subscriptions!
            subscriptions.subscribe(Subscription(channel: "c", history: nil))
            subscriptions.entries["c"]?.state = .syncing
            subscriptions.entries["c"]?.flags = [.isKnown, .isNew]
            subscriptions.entries["c"]?.epoch = "e"
            subscriptions.entries["c"]?.seq = 1
            for text in ["2:1:e:-:2:x", "3:1:e:-:3:x", "5:1:e:-:5:x", "7:1:e:-:7:x"] {
                subscriptions.received("c", ByteBuffer(string: text))
            }
            let answer = RESPValue.array([
                .string(ByteBuffer(string: "e")), .integer(6), .string(ByteBuffer(string: "-:6")), .boolean(false),
                .array([]),
            ])
            subscriptions.take(ChannelAnswer(answer, channel: "c")!, "c")
            return (events, subscriptions.heldByteCount)
        }
        #expect(events == ["2", "3", "subscribed at 6", "7"])
        #expect(rest == 0)
    }
}

private func onALoop<Value: Sendable>(
    _ body: @escaping @Sendable (any EventLoop) throws -> Value
) async throws -> Value {
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    return try await loop.submit { try body(loop) }.get()
}

/// A way to a server that does all that it is told.
private final class StubRouter: RedisRouter {
    let loop: any EventLoop
    let options = RedisBroker.Options(.independent([]), prefix: "t")
    let keys = RedisKeys(prefix: "t")
    var isReachable = true
    var isReady = true
    /// Whether the lease of a node is held.
    var isLeaseHeld = false
    private(set) var commands: [String] = []
    /// The users whose coming was to be announced.
    private(set) var announced: [String] = []

    init(_ loop: any EventLoop) { self.loop = loop }

    func isReady(for channel: Name, isHeard: Bool) -> Bool { isReady }

    func send(_ command: [RESPArgument], _ reply: @escaping (RedisConnection.Reply) -> Void) {
        guard isReachable else { return reply(.lost) }
        guard case .text(let name) = command[0] else { return reply(.lost) }
        commands.append(name)
        switch name {
        case "SMEMBERS": reply(.value(.array([.string(ByteBuffer(string: "c"))])))
        case "HSCAN": reply(.value(.array([.string(ByteBuffer(string: "0")), .array([])])))
        default: reply(.value(.integer(name == "EXISTS" && isLeaseHeld ? 1 : 0)))
        }
    }

    func run(
        _ script: RedisScript, keys: [String], _ arguments: [RESPArgument],
        reply: @escaping (RedisConnection.Reply) -> Void
    ) {
        if script == .enter, case .text(let user) = arguments[1], case .text("1") = arguments[6] {
            announced.append(user)
        }
        reply(.value(.integer(1)))
    }

    func noteFault(_ error: RedisError) {}
}
