import Base

/// The names of streams and subjects. See ``NATSBroker`` for what is in them.
struct NATSSubjects: Sendable {
    let prefix: String

    init(prefix: String) { self.prefix = Self.escaped(prefix) }

    /// A name as one part of a subject: all but letters, digits, `_` and `-` is `=` and two hexadecimal digits.
    static func escaped(_ name: String) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(name.utf8.count)
        for byte in name.utf8 {
            switch byte {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "_"), UInt8(ascii: "-"): bytes.append(byte)
            default:
                bytes.append(UInt8(ascii: "="))
                for digit in [byte >> 4, byte & 15] { bytes.append(digit < 10 ? 0x30 + digit : 0x37 + digit) }
            }
        }
        return bytes.isEmpty ? "=" : String(decoding: bytes, as: UTF8.self)
    }

    /// What was escaped; nil for anything else.
    static func unescaped(_ text: some StringProtocol) -> String? {
        var bytes: [UInt8] = []
        var rest = text.utf8[...]
        if text == "=" { return "" }
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "=") else {
                bytes.append(byte)
                continue
            }
            guard rest.count >= 2, let value = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16) else {
                return nil
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        return String(validating: bytes, as: UTF8.self)
    }

    /// The streams that keep channels, by the limits of their histories.
    func stream(_ limits: HistoryLimits?) -> ChannelStream { ChannelStream(limits, prefix: prefix) }

    /// The subject that a channel's messages are delivered on.
    func live(_ channel: String) -> String { "\(prefix).live.\(Self.escaped(channel))" }

    var usersStream: String { "\(prefix)_users" }
    var allUsers: String { "\(prefix).users.>" }
    func users(_ channel: String) -> String { "\(prefix).users.\(Self.escaped(channel)).*" }
    func user(_ channel: String, _ user: String) -> String {
        "\(prefix).users.\(Self.escaped(channel)).\(Self.escaped(user))"
    }
    /// The channel and the user of a subject of the stream of users.
    func channelAndUser(of subject: String) -> (channel: String, user: String)? {
        let parts = subject.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4, let channel = Self.unescaped(parts[2]), let user = Self.unescaped(parts[3]) else {
            return nil
        }
        return (channel, user)
    }

    var beats: String { "\(prefix).beat" }
    var hello: String { "\(prefix).hello" }
    var bye: String { "\(prefix).bye" }
    var back: String { "\(prefix).back" }
    /// Messages to all nodes, and to one.
    var nodes: String { "\(prefix).nodes" }
    func node(_ id: NodeID) -> String { "\(prefix).node.\(id)" }

    /// The name that probes are published by; no channel has it.
    func probe(_ id: NodeID) -> String { "~\(id)" }
}

/// A stream that keeps the channels with the same limits.
struct ChannelStream: Hashable {
    /// What the stream keeps beyond the messages of a history, for the marks that begin a numbering.
    private static let slack = 8

    let name: String
    /// The part of subjects that is before the channel.
    let root: String
    let liveRoot: String
    let messageCount: Int
    /// The time in seconds for which a channel's last message is kept, and so its numbering.
    let life: Int64

    init(_ limits: HistoryLimits?, prefix: String) {
        let count = max(0, limits?.messageCount ?? 0)
        let age = limits.map { max(1, $0.age / 1_000 + 1) } ?? 1
        life = max(86_400, 2 * min(age, 100 * 365 * 86_400))
        // Without a history one: where a subject has more, the server looks for the first of them in the whole stream whenever
        // one is removed.
        messageCount = count == 0 ? 1 : min(count, 1 << 30) + Self.slack
        name = "\(prefix)_\(count)_\(life)"
        root = "\(prefix).ch.\(count)-\(life)"
        liveRoot = "\(prefix).live"
    }

    func subject(_ channel: String) -> String { "\(root).\(NATSSubjects.escaped(channel))" }
}
