import Base
import Broker

/// A record of a log, as nodes write it: a mark of five bytes, the kind, the sender, its serial number, and the content.
///
/// Numbers, flags and texts are as `StateWriter` writes them; wsd-broker(7) lists them. A record without the mark is
/// another program's message, for the channel that is its key.
struct LogRecord: Equatable {
    /// NUL, so that no text begins like it; the name; and the version of the form.
    static let mark: [UInt8] = [0, 0x77, 0x73, 0x64, 1]

    /// What a node tells of a channel's numbering along with something else: `position` is that of the last numbered
    /// publication before the offset `readTo`.
    struct Claim: Equatable {
        enum Kind: UInt8 {
            /// The node has read what the numbering is.
            case known = 0
            /// The node has read nothing of the channel: the epoch is a new one, and the number 0.
            case begun = 1
            /// The node has seen more of the epoch `replaced` than the log has now: it ends.
            case replacing = 2
        }

        var kind: Kind
        var position: MessagePosition
        /// The epoch that ends; empty unless the claim is a replacing one.
        var replaced = ""
    }

    struct ChannelClaim: Equatable {
        var channel: String
        var claim: Claim
    }

    /// A user who is in a channel on the sender, or has left it there.
    struct UserChange: Equatable {
        var channel: String
        var user: String
        /// In milliseconds since 1970.
        var time: Int64
        var isPresent: Bool
        var isAnnounced: Bool
    }

    enum Content: Equatable {
        /// A batch of publications.
        case publications(
            channel: String, Claim, number: UInt64, numberedCount: Int, history: HistoryLimits?, [UInt8])
        /// Channels that are subscribed on the sender.
        case channels([ChannelClaim])
        /// Users that came or left.
        case changes([UserChange])
        /// All users on the sender, in one record or several: the first forgets what was known, unless the others say it
        /// again, which is over with the last.
        case users([UserChange], isFirst: Bool, isLast: Bool)
        /// A message to one node, or all.
        case message([UInt8], to: NodeID?)
        /// The sender is there. What it says of itself is in the first partition. `probe` counts its probes.
        case beat(description: String, probe: UInt64, isNew: Bool)
        /// The sender ends.
        case end
        /// Another node is gone, says the sender.
        case gone(NodeID)
    }

    var sender: NodeID
    /// Grows from record to record of a sender and partition. A record that comes again has the same.
    var serial: UInt64
    /// The offset before which the sender had read everything of the partition.
    var readTo: UInt64
    var content: Content

    // MARK: Writing

    var bytes: [UInt8] {
        var state = StateWriter()
        for byte in Self.mark { state.write(byte: byte) }
        state.write(byte: content.code)
        state.write(sender.rawValue)
        state.write(serial)
        state.write(readTo)
        switch content {
        case .publications(let channel, let claim, let number, let numberedCount, let history, let publications):
            state.write(channel)
            claim.write(to: &state)
            state.write(number)
            state.write(count: numberedCount)
            state.write(history != nil)
            if let history {
                state.write(count: history.messageCount)
                state.write(UInt64(clamping: history.age))
                state.write(count: history.byteCount)
            }
            state.write(publications)
        case .channels(let channels):
            state.write(count: channels.count)
            for row in channels {
                state.write(row.channel)
                row.claim.write(to: &state)
            }
        case .changes(let changes): UserChange.write(changes, to: &state)
        case .users(let changes, let isFirst, let isLast):
            state.write(isFirst)
            state.write(isLast)
            UserChange.write(changes, to: &state)
        case .message(let message, let node):
            state.write(node?.rawValue ?? 0)
            state.write(message)
        case .beat(let description, let probe, let isNew):
            state.write(description)
            state.write(probe)
            state.write(isNew)
        case .end: break
        case .gone(let node): state.write(node.rawValue)
        }
        return state.bytes
    }

    // MARK: Reading

    /// Whether a record's value has the mark.
    static func isMarked(_ bytes: UnsafeRawBufferPointer) -> Bool { bytes.starts(with: mark) }

    /// Reads a record that has the mark.
    init(_ bytes: UnsafeRawBufferPointer) throws(StateError) {
        var state = StateReader(UnsafeRawBufferPointer(rebasing: bytes.dropFirst(Self.mark.count)))
        let code = try state.byte()
        sender = NodeID(rawValue: try state.number())
        serial = try state.number()
        try state.require(serial < 1 << 62, "the serial number \(serial)")
        readTo = try state.number()
        switch code {
        case 0x70:
            let channel = try state.text(atMost: Self.channelByteCount)
            let claim = try Claim(&state)
            let number: UInt64 = try state.number()
            let numberedCount = try state.count(atMost: bytes.count)
            var history: HistoryLimits?
            if try state.flag() {
                history = HistoryLimits(
                    messageCount: try state.count(atMost: .max), age: Int64(clamping: try state.number(UInt64.self)),
                    byteCount: try state.count(atMost: .max))
            }
            let publications = Array(try state.bytes())
            try state.require(
                PublicationReader.numberedCount(in: publications) == numberedCount, "\(numberedCount) publications")
            content = .publications(
                channel: channel, claim, number: number, numberedCount: numberedCount, history: history, publications)
        case 0x74:
            var channels: [ChannelClaim] = []
            for _ in 0..<(try state.elementCount(ofAtLeast: 4)) {
                let channel = try state.text(atMost: Self.channelByteCount)
                channels.append(ChannelClaim(channel: channel, claim: try Claim(&state)))
            }
            content = .channels(channels)
        case 0x75: content = .changes(try UserChange.read(&state))
        case 0x73:
            let isFirst = try state.flag()
            let isLast = try state.flag()
            content = .users(try UserChange.read(&state), isFirst: isFirst, isLast: isLast)
        case 0x6D:
            let node: UInt64 = try state.number()
            content = .message(Array(try state.bytes()), to: node == 0 ? nil : NodeID(rawValue: node))
        case 0x62:
            let description = try state.text(atMost: Self.descriptionByteCount)
            let probe: UInt64 = try state.number()
            content = .beat(description: description, probe: probe, isNew: try state.flag())
        case 0x65: content = .end
        case 0x67: content = .gone(NodeID(rawValue: try state.number()))
        default: throw state.error("a record of the kind \(code)")
        }
    }

    /// The most bytes of a channel's name, and of a node's description.
    fileprivate static let channelByteCount = 65_535
    static let descriptionByteCount = 65_536
}

extension LogRecord.Content {
    fileprivate var code: UInt8 {
        switch self {
        case .publications: 0x70  // p
        case .channels: 0x74  // t
        case .changes: 0x75  // u
        case .users: 0x73  // s
        case .message: 0x6D  // m
        case .beat: 0x62  // b
        case .end: 0x65  // e
        case .gone: 0x67  // g
        }
    }
}

extension LogRecord {
    init(sender: NodeID, serial: UInt64, readTo: UInt64, content: Content) {
        self.sender = sender
        self.serial = serial
        self.readTo = readTo
        self.content = content
    }
}

extension LogRecord.Claim {
    /// The most bytes of an epoch's name.
    private static let epochByteCount = 32

    fileprivate func write(to state: inout StateWriter) {
        state.write(byte: kind.rawValue)
        state.write(position.epoch)
        state.write(position.seq)
        if kind == .replacing { state.write(replaced) }
    }

    fileprivate init(_ state: inout StateReader) throws(StateError) {
        let code = try state.byte()
        guard let kind = Kind(rawValue: code) else { throw state.error("a claim of the kind \(code)") }
        let epoch = try state.text(atMost: Self.epochByteCount)
        let seq: UInt64 = try state.number()
        // Numbers are JSON's, so that no sum of them is too large for 64 bits either.
        try state.require(seq < 1 << 53 && !epoch.isEmpty, "the position \(seq)")
        self.init(kind: kind, position: MessagePosition(epoch: epoch, seq: seq))
        if kind == .replacing { replaced = try state.text(atMost: Self.epochByteCount) }
    }
}

extension LogRecord.UserChange {
    private static let userByteCount = 65_535

    fileprivate static func write(_ changes: [Self], to state: inout StateWriter) {
        state.write(count: changes.count)
        for change in changes {
            state.write(change.channel)
            state.write(change.user)
            state.write(time: change.time)
            state.write(change.isPresent)
            state.write(change.isAnnounced)
        }
    }

    fileprivate static func read(_ state: inout StateReader) throws(StateError) -> [Self] {
        var changes: [Self] = []
        for _ in 0..<(try state.elementCount(ofAtLeast: 5)) {
            changes.append(
                Self(
                    channel: try state.text(atMost: LogRecord.channelByteCount),
                    user: try state.text(atMost: userByteCount), time: try state.time() ?? 0,
                    isPresent: try state.flag(), isAnnounced: try state.flag()))
        }
        return changes
    }

    /// The size in a record, at most.
    var byteCount: Int { channel.utf8.count + user.utf8.count + 16 }
}
