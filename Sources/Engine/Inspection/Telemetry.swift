import Base
import Channels

/// What a worker counts and remembers for operators.
final class Telemetry {
    var statistics = Statistics()
    /// The last endings of connections.
    var endings: EndingLogs
    var userAgents = UserAgents()
    /// Open WebSockets by the endpoint's index in the configuration.
    var connectionsByEndpoint: [Int: Int] = [:]

    /// The time of the next check whether memory can be returned to the system; nil until there has been enough
    /// traffic.
    var trimAt: UInt64?
    /// The total traffic in bytes at the last such check.
    var trafficSeen: UInt64 = 0

    init(workerCount: Int) { endings = EndingLogs(capacity: max(512, 8_192 / workerCount)) }
}

/// The User-Agent texts of a worker's connections. Each text is stored once, because browsers send the same few.
struct UserAgents {
    /// The length in bytes to which a text is cut, because the client chooses it and the server stores it.
    static let maximumByteCount = 256

    private var indexes: [Name: UInt32] = [:]
    private var entries: ContiguousArray<(text: String, count: Int)> = [("", 0)]
    private var free: [UInt32] = []

    /// Stores a text for one more connection and returns its index; 0 without a text.
    mutating func retain(_ text: String?) -> UInt32 {
        guard let text, !text.isEmpty else { return 0 }
        let kept =
            text.utf8.count <= Self.maximumByteCount
            ? text : String(decoding: text.utf8.prefix(Self.maximumByteCount), as: UTF8.self)
        if let index = indexes[Name(kept)] {
            entries[Int(index)].count += 1
            return index
        }
        let index = free.popLast() ?? UInt32(entries.count)
        if index == entries.count { entries.append((kept, 1)) } else { entries[Int(index)] = (kept, 1) }
        indexes[Name(kept)] = index
        return index
    }

    mutating func release(_ index: UInt32) {
        guard index != 0 else { return }
        entries[Int(index)].count -= 1
        guard entries[Int(index)].count == 0 else { return }
        indexes[Name(entries[Int(index)].text)] = nil
        entries[Int(index)].text = ""
        free.append(index)
    }

    func text(_ index: UInt32) -> String? { index == 0 ? nil : entries[Int(index)].text }
}
