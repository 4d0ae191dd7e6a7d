import Base
import Operations

/// An ending is an event of the kind `close` or `refuse`. It may stand for others like it, which came after it and are
/// only counted.
extension Event {
    /// The time of the last ending that this one stands for.
    var lastTime: Timestamp { max(time, more?.last ?? time) }

    /// The time in milliseconds beyond which two endings are not of one flood.
    private static let floodGap: Int64 = 60_000

    /// Whether another ending of the same kind and cause, at that time, may be of one flood with this one.
    func isNear(_ time: Timestamp) -> Bool {
        time.millisecondsSinceEpoch - lastTime.millisecondsSinceEpoch <= Self.floodGap
    }

    /// Makes this ending also stand for another one that came after it.
    mutating func absorb(_ other: Event) {
        let first = min(other.time, other.more?.first ?? other.time)
        more = Others(
            count: (more?.count ?? 0) + 1 + (other.more?.count ?? 0), first: min(more?.first ?? first, first),
            last: max(more?.last ?? other.lastTime, other.lastTime),
            sameAddress: more?.sameAddress ?? true && other.address == address && other.more?.sameAddress ?? true)
    }

    /// The maximum memory of the ending, in bytes: its strings may be shared with open connections.
    var byteCount: Int {
        var strings = (text?.utf8.count ?? 0) + (user?.utf8.count ?? 0) + (endpoint?.utf8.count ?? 0)
        for channel in channels ?? [] { strings += channel.utf8.count + 48 }
        // A string of more than 15 bytes has a header of 32 bytes.
        return MemoryLayout<Event>.stride + 3 * 32 + strings
    }
}

/// The data of a refused client, as far as it is known.
struct RefusedAs {
    /// The path of the request, which the client chooses.
    var path: String?
    var user: String?
    var channel: String?
    /// The address of the client behind trusted proxies; nil if the client is the peer.
    var address: IPAddress?
    var userAgent: String?

    /// The number of bytes of a path that are kept.
    private static let pathLimit = 128

    /// The path, cut to the length that is kept.
    var keptPath: String? {
        path.map { path in
            path.utf8.count <= Self.pathLimit
                ? path : String(decoding: path.utf8.prefix(Self.pathLimit), as: UTF8.self) + "…"
        }
    }
}
