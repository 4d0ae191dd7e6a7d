import Base
import Broker
import Glibc
import Synchronization

/// A node in a test: a broker, and all that it has said.
final class BrokerNode: Sendable {
    let id: NodeID
    let broker: any Broker
    let record = BrokerRecord()
    private let number: Mutex<UInt64>

    init(_ id: NodeID, _ broker: any Broker) {
        self.id = id
        self.broker = broker
        number = Mutex(UInt64(ContinuousTime.millisecondsSince1970) * 1_000)
        broker.start(record)
    }

    /// A test that failed has not stopped it.
    deinit { Task { [broker] in await broker.stop(within: .zero) } }

    /// Publishes a batch and returns its number.
    @discardableResult
    func publish(
        _ channel: String, _ texts: [String], kind: CarriedPublication.Kind = .chatText,
        history: HistoryLimits? = nil, within time: Duration = patience,
        at clock: Int64 = ContinuousTime.millisecondsSince1970
    ) -> UInt64 {
        let number = number.withLock { number in
            number += 1
            return number
        }
        var writer = PublicationWriter()
        for text in texts {
            Array("ada".utf8).withUnsafeBytes { user in
                Array(text.utf8).withUnsafeBytes { payload in
                    writer.append(CarriedPublication(kind, time: clock, user: user, payload: payload))
                }
            }
        }
        broker.publish([
            OutgoingBatch(
                channel: channel, number: number, numberedCount: writer.numberedCount, publications: writer.bytes,
                history: history, deadline: ContinuousTime.nanoseconds(in: time))
        ])
        return number
    }

    /// Publishes a batch and waits for the answer.
    @discardableResult
    func publishAndWait(
        _ channel: String, _ texts: [String], kind: CarriedPublication.Kind = .chatText,
        history: HistoryLimits? = nil, at clock: Int64 = ContinuousTime.millisecondsSince1970
    ) async throws -> MessagePosition {
        let number = publish(channel, texts, kind: kind, history: history, at: clock)
        return try await accepted(channel, number)
    }

    /// Waits until a batch has been accepted.
    func accepted(_ channel: String, _ number: UInt64) async throws -> MessagePosition {
        try await record.wait("batch \(number) in \(channel) accepted") { $0.answers[Name(channel)]?[number] }.get()
    }

    /// Waits until a batch has been refused.
    func refused(_ channel: String, _ number: UInt64) async throws -> BrokerRefusal {
        let answer = try await record.wait("batch \(number) in \(channel) refused") {
            $0.answers[Name(channel)]?[number]
        }
        switch answer {
        case .success(let position): throw NotSeen("batch \(number) was accepted as \(position)")
        case .failure(let refusal): return refusal.refusal
        }
    }

    /// Subscribes a channel and waits for the answer.
    @discardableResult
    func subscribe(
        _ channel: String, history: HistoryLimits? = nil
    ) async throws -> (position: MessagePosition, history: [String]) {
        let before = record.now.subscribed[Name(channel)]?.count ?? 0
        broker.subscribe([Subscription(channel: channel, history: history)])
        return try await record.wait("\(channel) subscribed") { state in
            guard let answers = state.subscribed[Name(channel)], answers.count > before else { return nil }
            return answers.last
        }
    }

    func isUp() async throws {
        do { try await record.wait("up") { $0.health == .up ? () : nil } } catch {
            throw NotSeen("\(error); \(record.now.health.map { "\($0)" } ?? "nothing was said of it")")
        }
    }

    /// Waits until the broker has been down because of what `body` does, and is up again.
    func comesBack(after body: () async throws -> Void) async throws {
        let before = record.now.healths.count
        try await body()
        try await record.wait("down and up again") { state in
            state.health == .up && state.healths.dropFirst(before).contains { $0 != .up } ? () : nil
        }
    }

    /// Waits until the broker is down and returns the reason.
    @discardableResult
    func isDown(where isMeant: @escaping @Sendable (String) -> Bool = { _ in true }) async throws -> String {
        try await record.wait("down") { state in
            guard case .down(let reason, _) = state.health, isMeant(reason) else { return nil }
            return reason
        }
    }
}

/// How long a test waits for what comes within a second unless something is broken or the machine is very busy.
let patience = Duration.seconds(240)

/// What a test waited for did not happen.
struct NotSeen: Error, CustomStringConvertible {
    var description: String
    init(_ description: String) { self.description = description }
}

/// A refusal, as an error.
struct Refused: Error {
    var refusal: BrokerRefusal
}

/// All events of a broker, in order.
final class BrokerRecord: BrokerSink {
    struct State {
        /// What a channel's member saw: texts, and `gap` or `renumbered` where that was said.
        var seen: [Name: [String]] = [:]
        var batches: [Name: [DeliveredBatch]] = [:]
        var subscribed: [Name: [(position: MessagePosition, history: [String])]] = [:]
        var renumbered: [Name: [(position: MessagePosition, history: [String])]] = [:]
        var gaps: [Name: [MessagePosition]] = [:]
        var answers: [Name: [UInt64: Result<MessagePosition, Refused>]] = [:]
        var members: [UInt64: [BrokerMember]?] = [:]
        var messages: [(from: NodeID, text: String)] = []
        var health: BrokerHealth?
        var healths: [BrokerHealth] = []
    }

    private let state = Mutex(State())
    private let before = Mutex<@Sendable () -> Void>({})

    /// What there is so far.
    var now: State { state.withLock(\.self) }

    /// Has a function called before events are noted, on the broker's thread.
    func isBefore(_ body: @escaping @Sendable () -> Void) { before.withLock { $0 = body } }

    func take(_ events: [BrokerEvent]) {
        before.withLock(\.self)()
        state.withLock { state in
            for event in events { Self.note(event, &state) }
        }
    }

    private static func note(_ event: BrokerEvent, _ state: inout State) {
        switch event {
        case .subscribed(let channel, let position, let history):
            state.subscribed[Name(channel), default: []].append((position, history.flatMap(\.texts)))
        case .delivered(let batch):
            state.batches[Name(batch.channel), default: []].append(batch)
            state.seen[Name(batch.channel), default: []] += batch.texts
        case .gap(let channel, let position):
            state.gaps[Name(channel), default: []].append(position)
            state.seen[Name(channel), default: []].append("gap")
        case .interrupted(let channel):
            state.seen[Name(channel), default: []].append("interrupted")
        case .renumbered(let channel, let position, let history):
            state.renumbered[Name(channel), default: []].append((position, history.flatMap(\.texts)))
            state.seen[Name(channel), default: []].append("renumbered")
        case .accepted(let channel, let number, let position):
            state.answers[Name(channel), default: [:]][number] = .success(position)
        case .refused(let channel, let number, let refusal):
            state.answers[Name(channel), default: [:]][number] = .failure(Refused(refusal: refusal))
        case .members(_, let token, let members): state.members[token] = .some(members)
        case .message(let bytes, let node): state.messages.append((node, String(decoding: bytes, as: UTF8.self)))
        case .health(let health):
            state.health = health
            state.healths.append(health)
        }
    }

    /// Waits until `body` returns a value, for at most `patience`.
    @discardableResult
    func wait<Value>(
        _ what: String, _ body: @escaping @Sendable (State) throws -> Value?
    ) async throws -> Value {
        let deadline = ContinuousClock.now + patience
        while true {
            if let value = try state.withLock({ state in try body(state) }) { return value }
            guard ContinuousClock.now < deadline else { throw NotSeen("not seen in \(patience): \(what)") }
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    func seen(_ channel: String) -> [String] { now.seen[Name(channel)] ?? [] }

    /// Waits until a channel's member has seen this, and nothing else.
    func sees(_ channel: String, _ texts: [String]) async throws {
        do {
            try await wait("\(texts.count) texts") { ($0.seen[Name(channel)]?.count ?? 0) >= texts.count ? () : nil }
        } catch {
            throw NotSeen("\(channel): \(seen(channel).count) of \(texts.count) texts: \(seen(channel).suffix(20))")
        }
        let seen = seen(channel)
        guard seen == texts else { throw NotSeen("\(channel): \(seen.prefix(40)) instead of \(texts.prefix(40))") }
    }
}

extension DeliveredBatch {
    /// What was published; `?` if it is damaged.
    var texts: [String] {
        var texts: [String] = []
        let isWhole = PublicationReader.forEach(publications) { publication in
            let text = String(decoding: publication.payload, as: UTF8.self)
            switch publication.kind {
            case .join: texts.append("+" + String(decoding: publication.user, as: UTF8.self))
            case .leave: texts.append("-" + String(decoding: publication.user, as: UTF8.self))
            default: texts.append(text)
            }
        }
        return isWhole ? texts : ["?"]
    }
}

/// The clocks that batches are given times of.
enum ContinuousTime {
    static var millisecondsSince1970: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }

    /// The time of the monotonic clock when `duration` will have passed.
    static func nanoseconds(in duration: Duration) -> UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        let (seconds, attoseconds) = duration.components
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec) + UInt64(seconds) * 1_000_000_000
            + UInt64(attoseconds / 1_000_000_000)
    }
}

extension Name: ExpressibleByStringLiteral {
    package init(stringLiteral text: String) { self.init(text) }
}
