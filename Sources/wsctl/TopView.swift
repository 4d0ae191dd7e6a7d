import Control
import Operations

/// The way in which the user wants to see `wsctl top`, and the keys that change it.
struct TopView {
    /// The keys and their effects, in as few words as possible.
    static let keys: [(key: Character, order: ConnectionOrder?, short: String, long: String)] = [
        ("Q", .queuedBytes, "queued", "order by bytes queued"),
        ("D", .droppedMessages, "dropped", "order by messages dropped"),
        ("L", .idle, "idle", "order by idle time"),
        ("i", .messagesIn, "msg in", "order by messages in"),
        ("o", .messagesOut, "msg out", "order by messages out"),
        ("I", .bytesIn, "in", "order by bytes in"),
        ("O", .bytesOut, "out", "order by bytes out"),
        ("+", nil, "slower", "refresh less often"),
        ("-", nil, "faster", "refresh more often"),
        ("?", nil, "keys", "show or hide these keys"),
        ("q", nil, "quit", "end"),
    ]

    /// The order of the connections.
    var order: ConnectionOrder
    /// Seconds between two refreshes.
    var interval: Double
    /// Whether the keys are explained.
    var hasKeys = false

    /// Applies a key; other keys are ignored.
    mutating func press(_ key: UInt8) {
        let key = Character(Unicode.Scalar(key))
        if let order = Self.keys.first(where: { $0.key == key })?.order { self.order = order }
        switch key {
        case "+": interval = min(60, interval * 2)
        case "-": interval = max(0.1, interval / 2)
        case "?": hasKeys.toggle()
        default: break
        }
    }

    /// A line with as many keys as fit, including the one that shows the others.
    static func shortLine(columns: Int) -> String {
        let all = keys.map { "\($0.key) \($0.short)" }
        // The last two are shown even if others don't fit.
        for count in stride(from: all.count - 2, through: 0, by: -1) {
            let line = (all.prefix(count) + all.suffix(2)).joined(separator: "  ")
            if line.count <= columns { return line }
        }
        return "? q"
    }

    /// The explanations of all keys, one per line.
    static var lines: [String] { keys.map { "  \($0.key)  \($0.long)" } }
}
