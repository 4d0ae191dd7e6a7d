import Base
import Broker
import BrokerSupport
import NIOCore

/// One partition: what is read of it and appended to it, and the channels that are in it.
///
/// The phases of reading:
///
///     idle ── broker up ──▶ catching up ── caught up ──▶ live
///                                ▲                         │
///                                └── lost, or replaced ────┘
///
/// While it is catching up, nothing is delivered. Then each subscribed channel goes on from what members have got.
final class LogPartition {
    enum Phase { case idle, catchingUp, live }

    /// A channel that is subscribed.
    struct Subscribed {
        var history: HistoryLimits?
        /// What the hub was told of last; nil until a subscription was answered.
        var delivered: MessagePosition?
        /// Whether the last subscription is not answered.
        var isNew = true
        /// The probe that has to come back before the answer: by then, all is read that any node has acknowledged before.
        var fence: UInt64
        /// Whether a claim for it is under way.
        var isClaimed = false
    }

    unowned let core: LogCore
    let number: Int
    var phase = Phase.idle
    var channels: LogChannels
    var subscribed: [Name: Subscribed] = [:]
    /// The channels whose subscription is not answered; some may be that since.
    var unanswered: Set<Name> = []
    var isFenceDue = false
    /// What waits for a probe.
    var fences: [(probe: UInt64, body: (Bool) -> Void)] = []
    var users = LogUsers()
    /// Nodes that have users here and are not known, and since when: another partition has said that they are gone.
    var strangers: [NodeID: NIODeadline] = [:]
    var own: LogOwnUsers!
    var writer: LogWriter!
    /// The last serial number of each node.
    var serials: [NodeID: UInt64] = [:]
    /// The time of the last record, in milliseconds since 1970.
    var time: Int64 = 0
    /// When reading began, in milliseconds since 1970.
    var begunAt: Int64 = 0
    /// The last record that was read, and whether it is to be read again, to see whether the log is still the same.
    var last: (offset: UInt64, hash: Int)?
    var isChecking = false
    /// Channels that are to be claimed.
    var claims: [Name: LogWriter.Claim] = [:]
    /// Nodes whose users are not known yet, and the questions that wait for them.
    var awaitedNodes: Set<NodeID> = []
    var questions: [(channel: String, token: UInt64)] = []
    /// The numbers of probes: of the last one that has come back, the last one sent, that of the present round, and the
    /// first one that counts since the broker was last down.
    var returnedProbe: UInt64 = 0
    var sentProbe: UInt64 = 0
    var roundProbe: UInt64 = 0
    var neededProbe: UInt64 = 1
    /// Whether a probe has come back since the broker was last down.
    var isProven = false

    static let nodeCount = 10_000

    /// - Parameter count: the number of partitions.
    init(_ core: LogCore, _ number: Int, of count: Int) {
        self.core = core
        self.number = number
        channels = LogChannels(byteLimit: core.options.historyByteLimit / max(1, count))
        writer = LogWriter(self)
        own = LogOwnUsers(self)
    }

    var channelCount: Int { subscribed.count }
    var waitingCount: Int { unanswered.count }
    /// Whether records may be handed over.
    var takesRecords: Bool { phase == .live && core.isConnected }
    var lastOwnSerial: UInt64 { serials[core.options.node] ?? 0 }
    var isUsable: Bool { phase == .live && isProven }

    // MARK: The broker

    func connected() {
        if phase == .idle { return startReading() }
        // The server may have lost what it had, and have as much again since.
        if phase == .live {
            isChecking = last != nil
            core.connection?.read(number, from: .offset(last?.offset ?? channels.nextOffset))
        }
        pump()
    }

    /// Takes back what a connection has not answered that is there no more, with its reading.
    func takeBack() {
        if phase == .catchingUp { phase = .idle }
        writer.takeBack()
    }

    /// Whether a record is the one that was read last. If another one is in its place, the log is another one.
    func isKnown(_ record: LogConnection.Record) -> Bool {
        let this = (offset: record.offset, hash: Self.hash(of: record.value))
        guard isChecking, let before = last else {
            last = this
            return false
        }
        isChecking = false
        if this != before { core.replaced(number) }
        return true
    }

    /// Whether a record was written before reading began, so that there is an end of them. Of one without a time nobody knows.
    func isBehind(_ record: LogConnection.Record) -> Bool {
        phase == .catchingUp && record.time > 0 && record.time <= begunAt
    }

    static func hash(of bytes: UnsafeRawBufferPointer) -> Int {
        var hasher = Hasher()
        hasher.combine(bytes: bytes)
        return hasher.finalize()
    }

    func disconnected() {
        isProven = false
        neededProbe = sentProbe + 1
        passFences(false)
    }

    /// Calls `body` as soon as everything is read that any node has acknowledged so far; with false if that can't be.
    func whenCurrent(_ body: @escaping (Bool) -> Void) {
        guard isUsable else { return body(false) }
        fences.append((sentProbe + 1, body))
        isFenceDue = true
    }

    func passFences(_ isCurrent: Bool) {
        let due = fences.filter { !isCurrent || $0.probe <= returnedProbe }
        guard !due.isEmpty else { return }
        fences.removeAll { !isCurrent || $0.probe <= returnedProbe }
        for (_, body) in due { body(isCurrent) }
    }

    /// Whether the probe of the last round has not come back.
    var isSilent: Bool { !isProven || returnedProbe < roundProbe }

    /// Begins a round of probes.
    func beginRound() {
        sendProbe()
        roundProbe = sentProbe
    }

    func startReading() {
        phase = .catchingUp
        isChecking = false
        last = nil
        disconnected()
        channels.removeAll()
        // What an earlier reading has seen counts once more.
        serials = [:]
        for name in subscribed.keys { subscribed[name]?.isClaimed = false }
        begunAt = core.now
        core.connection?.read(number, from: .time(begunAt - core.options.window.milliseconds))
    }

    /// Reads on where it was, as nothing comes.
    func readAgain() {
        isChecking = false
        core.connection?.read(number, from: .offset(channels.nextOffset))
    }

    func caughtUp(_ offset: UInt64) {
        channels.move(to: offset)
        guard phase == .catchingUp else { return }
        phase = .live
        awaitedNodes = core.nodes.recentlyHeard
        core.loop.assumeIsolated().scheduleTask(in: core.patience) { [weak self] in self?.stopAwaiting() }
        for name in subscribed.keys { settle(name) }
        sayHello()
        own.sayAll()
        pump()
    }

    /// Records that were to be read are gone: what was counted may be wrong.
    func lost(_ offset: UInt64) {
        isChecking = false
        core.statistics.gapsLost += 1
        writer.forgetUsers()
        if phase == .live {
            // One of them may have said that this node is gone, and users who came or left are in no other.
            own.wereRemoved()
            for (name, row) in subscribed {
                if let position = row.delivered { core.emit(.gap(channel: name.text, position)) }
            }
        }
        sayHello()
    }

    /// Says of nodes that nobody knows that they are gone, after they have been strangers for a time.
    func removeStrangers(at now: NIODeadline, after life: TimeAmount) {
        var found: [NodeID: NIODeadline] = [:]
        for id in users.nodes where !core.nodes.isKnown(id) {
            let since = strangers[id] ?? now
            let isDue = now - since > life && takesRecords
            if isDue {
                writer.append(.content(.gone(id)))
                writer.pump()
            }
            found[id] = isDue ? now : since
        }
        strangers = found
    }

    /// The log is another one, or older than what was read.
    func replaced() {
        writer.forgetRead()
        startReading()
    }

    func sayHello() { sendProbe(isNew: true) }

    func sendProbe(isNew: Bool = false) {
        guard takesRecords else { return }
        sentProbe += 1
        let description = number == 0 ? core.nodes.own.json : ""
        writer.append(.content(.beat(description: description, probe: sentProbe, isNew: isNew)))
        writer.pump()
    }

    func stop() {
        writer.refuseAll()
        passFences(false)
        for (channel, token) in questions { core.emit(.members(channel: channel, token: token, nil)) }
        questions = []
    }
}
