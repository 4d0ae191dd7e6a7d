import Base
package import Broker
import BrokerSupport
import NIOCore

/// Reads a stream while this node has the lease. All of it belongs to its event loop.
///
///     away ── connected ──▶ looking ── consumer found ──▶ standby ── lease ──▶ settling ── none left ──▶ live
///                                                                                 └─ time is over ─▶ collecting ─▶ live
///
/// In the phase `settling` it asks for nothing, until the server gives out again what was given out before and not
/// acknowledged. The server does that in the order in which it stopped waiting for each record, so that in the phase
/// `collecting` all of them come before any is given out. In the phase `live` it asks for what is new. The connection is
/// the reader's own.
package final class NATSStreamReader: LoopSourceReader {
    enum Phase: Equatable {
        case away
        /// The stream and its consumer are looked for, or made.
        case looking
        /// Another node has the lease, or it is not known who does.
        case standby
        /// Waits until nothing is unacknowledged, or all of that is given out again.
        case settling(until: ContinuousClock.Instant)
        /// Gives out nothing before as many records have come that were given out before, or none of them comes any more.
        case collecting(missingCount: Int)
        case live
    }

    /// A record that the server waits to have acknowledged.
    struct Held {
        var seq: UInt64
        var byteCount: Int
        /// The subject that the answer goes to.
        var reply: String
        var record: Record
    }

    /// What the server is told of a record.
    struct Acknowledgement {
        var reply: String
        var word: String
    }

    /// A question for records that the server has not answered to the end.
    struct Pull {
        /// The last part of the subject that it is answered at, unless by a record.
        var number: UInt64
        var missingCount: Int
        /// Whether it has brought a record that was given out before.
        var hasBroughtOld = false
        var sentAt: ContinuousClock.Instant
    }

    /// The records that are read at once, at most, and their bytes if a record is not larger.
    static let batchCount = 256
    static let batchByteCount = 1 << 20
    /// The bytes that are collected, at most; about. A batch that is given out again is a little larger than before.
    static let collectedByteCount = 4 << 20
    /// The most lines of a record's header, of which JetStream takes no more than 64 KiB.
    static let headerLineCount = 512
    /// How long the server keeps a question for records, and how long an answer may take besides.
    var pullTime: Duration { min(options.lease / 5, consumer?.waitLimit ?? options.lease) }
    static let patience: Duration = .seconds(3)
    /// The number of records that are remembered as received, at most; older ones that came again were published twice.
    static let receivedLimit = 16_384
    /// The time between two looks at the length of the queue.
    static let lookInterval: Duration = .seconds(5)

    let loop: any EventLoop
    let options: NATSStreamSource.Options
    let shared: ReadingTerm
    let lease: NATSReaderLease
    private(set) var link: NATSLink!

    var phase = Phase.away
    var term: UInt64 = 0
    /// The time until which the lease is this node's if it is not renewed; also while there is no connection.
    var leaseEnd: ContinuousClock.Instant?
    /// Who waits for records.
    var wanted: ((RecordBatch?) -> Void)?
    /// What was received and not given out, in its order.
    var buffer: [Held] = []
    /// What was given out and is not settled, by its number.
    var out: [String: Held] = [:]
    /// The records of the term that were received and are not known to be acknowledged, by their numbers.
    var received: Set<UInt64> = []
    /// The server has noted as acknowledged what is up to this record.
    var acknowledgedThrough: UInt64 = 0
    /// What the server has to be told of, and what it was sent and has not confirmed.
    var settled: [Acknowledgement] = []
    var unconfirmed: [Acknowledgement] = []
    var pull: Pull?
    var lastPull: UInt64 = 0
    /// Whether the next record is larger than what is asked for at once.
    var isLargeNext = false
    /// The subject and the subscription of the records on this connection.
    var inbox = ""
    var subscription: UInt64 = 0
    /// How the consumer is set; nil if it has to be looked for.
    var consumer: StreamDescription?
    /// The stream and the consumer that were read before, by the times at which they were made, and the last record that was
    /// given out here or is acknowledged with all before it.
    var created: String?
    var consumerCreated: String?
    var lastGiven: UInt64 = 0
    /// Whether an answer to a question that is not for records is awaited.
    var isAsking = false
    var isLooking = false
    var nextLook = ContinuousClock.now
    /// What the server has complained of on this connection.
    var complaint: String?
    private var timer: Scheduled<Void>?
    private var progressTimer: Scheduled<Void>?
    private(set) var isStopped = false
    /// Whether nobody wants any more records.
    private var isEnding = false

    init(
        _ loop: any EventLoop, _ options: NATSStreamSource.Options, _ server: NATSBroker.Options,
        _ shared: ReadingTerm
    ) {
        self.loop = loop
        self.options = options
        self.shared = shared
        lease = NATSReaderLease(options, identity: "\(options.nodeName)/\(server.node)")
        link = NATSLink(
            loop, server,
            NATSLink.Events(
                ready: { [weak self] in self?.connected($0) }, complained: { [weak self] in self?.complained($0) },
                handled: { [weak self] in self?.give() }, lost: { [weak self] in self?.lost() }))
    }

    /// The records that are here, by their numbers.
    var heldNumbers: [UInt64] { out.values.map(\.seq) + buffer.map(\.seq) }

    /// Gives up what is here: the server gives it out again.
    func dropHeld() {
        dropBuffer()
        let numbers = out.values.map(\.seq)
        received.subtract(numbers)
        if let first = numbers.min() { lastGiven = min(lastGiven, max(first, 1) - 1) }
        out = [:]
    }

    /// Gives up what was not given out.
    func dropBuffer() {
        received.subtract(buffer.map(\.seq))
        buffer = []
    }

    func change(_ body: (inout ReadingTerm.Value) -> Void) { shared.change(body) }

    func tell(_ phase: SourceState.Phase) { change { $0.state.phase = phase } }

    func holdsLease(for time: Duration) -> Bool {
        guard let leaseEnd else { return false }
        return ContinuousClock.now + time < leaseEnd
    }
}

// What the source is asked for.
extension NATSStreamReader {
    func start() {
        link.start()
        scheduleTick()
        scheduleProgress()
    }

    package func next(_ body: @escaping (RecordBatch?) -> Void) {
        guard !isStopped, !isEnding else { return body(nil) }
        wanted = body
        if !out.isEmpty { readAgain() }
        give()
        pump()
    }

    /// Tells who waits for records that there are no more.
    package func end() {
        isEnding = true
        let waiting = wanted
        wanted = nil
        waiting?(nil)
    }

    package func settle(_ records: [SettledRecord]) {
        for record in records {
            guard let held = out.removeValue(forKey: record.id) else { continue }
            settled.append(Acknowledgement(reply: held.reply, word: record.fault == nil ? "+ACK" : "+TERM"))
        }
        pump()
    }

    package func stop(then body: @escaping () -> Void) {
        isStopped = true
        timer?.cancel()
        progressTimer?.cancel()
        end()
        var isDone = false
        let finish = { [self] in
            guard !isDone else { return }
            isDone = true
            link.stop()
            body()
        }
        guard let connection = link.ready, holdsLease(for: .zero) else { return finish() }
        loop.assumeIsolated().scheduleTask(in: TimeAmount(Self.patience)) { finish() }
        connection.finish(subscription)
        sendSettled(connection)
        connection.ping { [self] isTaken in
            // What is still being published stays this node's until the lease ends by itself.
            guard isTaken, out.isEmpty else { return finish() }
            for held in buffer { connection.publish(held.reply, [UInt8]("-NAK".utf8)) }
            // A question that waits may take what is given back, or what comes, for nobody.
            lease.release(connection, isClean: phase == .live && pull == nil) { finish() }
        }
    }

    private func scheduleTick() {
        timer = loop.assumeIsolated().scheduleTask(in: TimeAmount(options.lease / 5)) { [weak self] in
            guard let self, !isStopped else { return }
            scheduleTick()
            tick()
        }
    }

    /// Keeps the server from giving out again what is still being published.
    private func scheduleProgress() {
        let wait = consumer?.acknowledgementWait ?? options.acknowledgementWait
        let pause = max(.milliseconds(20), min(.seconds(1), wait / 4))
        progressTimer = loop.assumeIsolated().scheduleTask(in: TimeAmount(pause)) { [weak self] in
            guard let self, !isStopped else { return }
            scheduleProgress()
            guard let connection = link.ready, holdsLease(for: .zero) else { return }
            for held in out.values { connection.publish(held.reply, [UInt8]("+WPI".utf8)) }
            for held in buffer { connection.publish(held.reply, [UInt8]("+WPI".utf8)) }
        }
    }
}
