import Base
package import Broker
import BrokerSupport
import NIOCore

/// Reads a stream while this node has the lease. All of it belongs to its event loop.
///
///     away ── connected ──▶ standby ── lease ──▶ pending ── none left ──▶ live
///
/// In the phase `pending` it gives out what was given out before and not acknowledged, from the oldest record on; in the
/// phase `live`, what is new. The connection is the reader's own, for a command that waits for records holds up the others.
package final class RedisStreamReader: LoopSourceReader {
    enum Phase: Equatable {
        case away
        /// Another node has the lease, or it is not known who does.
        case standby
        /// Reads what is not acknowledged, behind a record.
        case pending(after: String)
        case live
    }

    /// The records that are read at once, at most, and their bytes if a record is not larger.
    static let batchCount = 256
    static let batchByteCount = 1 << 20
    /// What a record has besides its message: names of fields, a channel, and the like.
    static let spareByteCount = 64 << 10
    /// The most fields of a record.
    static let fieldCount = 512
    /// How long a command waits for new records, and how long any may take besides.
    static let blockTime: Duration = .milliseconds(250)
    static let patience: Duration = .seconds(3)
    /// The time between two looks at what is pending, and at the length of the queue.
    static let sweepInterval: Duration = .seconds(30)
    static let lookInterval: Duration = .seconds(5)
    /// The consumer of the group that all nodes read as.
    static let consumer = "wsd"

    /// What is taken from the server. New records come as many as were asked for, however large they are: a string that is
    /// too long is left out, and beyond the other limits the connection is given up, and they are read as pending ones,
    /// which a script measures out.
    static func decoderLimits(recordByteCount: Int) -> RESPDecoder.Limits {
        var limits = RESPDecoder.Limits()
        limits.stringByteCount = recordByteCount + spareByteCount
        limits.valueByteCount = 4 * batchByteCount + 2 * (recordByteCount + spareByteCount)
        limits.elementCount = 4 * batchCount * fieldCount
        return limits
    }

    let loop: any EventLoop
    let options: RedisStreamSource.Options
    let shared: ReadingTerm
    var link: RedisLink!
    var watch: SentinelWatch?
    /// The value of the lease while it is this node's.
    let identity: String

    var phase = Phase.away
    var term: UInt64 = 0
    /// The time until which the lease is this node's if it is not renewed; also while there is no connection.
    var leaseEnd: ContinuousClock.Instant?
    /// Who waits for records.
    var wanted: ((RecordBatch?) -> Void)?
    /// The number of records that were given out and are not settled.
    var outCount = 0
    /// What Redis has to be told of.
    var settled: [SettledRecord] = []
    /// Whether an answer about records is awaited.
    var isBusy = false
    /// The last new record that was read.
    var lastID: String?
    /// Whether the group was there once: one that is made since takes the place of one that was lost.
    var hasSeenGroup = false
    /// The size of the largest of the records that were read last.
    var largestByteCount = 1_024
    var nextSweep = ContinuousClock.now
    var nextLook = ContinuousClock.now
    var timer: Scheduled<Void>?
    var watchdog: Scheduled<Void>?
    var isStopped = false
    /// Whether nobody wants any more records.
    private var isEnding = false

    init(
        _ loop: any EventLoop, _ options: RedisStreamSource.Options, _ server: RedisBroker.Options,
        _ shared: ReadingTerm
    ) {
        self.loop = loop
        self.options = options
        self.shared = shared
        identity = "\(options.nodeName)/\(server.node)"
        link = RedisLink(
            loop, server, whereabouts(server),
            RedisLink.Events(
                ready: { [weak self] in self?.connected($0) }, pushed: { _ in }, handled: {},
                lost: { [weak self] in self?.lost() }))
    }

    private func whereabouts(_ server: RedisBroker.Options) -> RedisLink.Whereabouts {
        switch server.servers {
        case .independent(let addresses), .cluster(let addresses):
            return .fixed(RedisEndpoint(address: addresses.first ?? .tcp(host: "localhost", port: 6379)))
        case .sentinel(let sentinel):
            let watch = SentinelWatch(loop, server, sentinel) { [weak self] in self?.link.move(to: $0) }
            self.watch = watch
            return RedisLink.Whereabouts(
                name: "the master \"\(sentinel.masterName)\"", locate: { watch.locate($0) }, doubt: { watch.doubt($0) })
        }
    }
}

// What the source is asked for.
extension RedisStreamReader {
    func start() {
        watch?.start()
        link.start()
    }

    package func next(_ body: @escaping (RecordBatch?) -> Void) {
        guard !isStopped, !isEnding else { return body(nil) }
        wanted = body
        if outCount > 0 {
            // Not all of the last batch was settled.
            outCount = 0
            readAgain()
        }
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
        outCount = max(0, outCount - records.count)
        settled += records
        pump()
    }

    package func stop(then body: @escaping () -> Void) {
        isStopped = true
        timer?.cancel()
        end()
        var isDone = false
        let finish = { [self] in
            guard !isDone else { return }
            isDone = true
            watchdog?.cancel()
            watch?.stop()
            link.stop()
            body()
        }
        guard let connection = link.ready, holdsLease(for: .zero) else { return finish() }
        loop.assumeIsolated().scheduleTask(in: TimeAmount(Self.patience)) { finish() }
        for record in settled { send([record], connection) { _ in } }
        // What is still being published stays this node's until the lease ends by itself.
        guard outCount == 0 else { return connection.send(["PING"]) { _ in finish() } }
        connection.send(["EVAL", .text(RedisStreamScript.release), 1, .text(leaseKey), .text(identity)]) { _ in
            finish()
        }
    }
}
