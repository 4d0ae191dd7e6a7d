package import WebSocket

/// A WebSocket that began to end, or a client that was refused: what an operator who asks why needs to know.
package struct Ending: Sendable {
    package enum Reason: Sendable {
        case closed(CloseCause, CloseCode)
        case refused(RefusalCause)

        /// The cause's number among those of its kind.
        var causeValue: UInt8 {
            switch self {
            case .closed(let cause, _): cause.rawValue
            case .refused(let cause): cause.rawValue
            }
        }
    }

    /// Milliseconds since 1970.
    package var time: Int64
    package var reason: Reason
    /// What was said to the client, or what it said.
    package var text: String
    package var address: IPAddress
    /// The peer's, which may be a proxy's; 0 where it is not known.
    package var port: UInt16 = 0
    /// What a refused client was answered with.
    package var status: HTTPStatus?
    /// What the client calls itself; only told while `Hub.reportsEverything`.
    package var userAgent: String?
    /// Nil for who was refused.
    package var id: ConnectionID?
    /// Who was refused is known by a token whose signature was right.
    package var user: String?
    /// The endpoint's path, or the path that was asked for.
    package var endpoint: String?
    /// The first of the channels that the connection was in, or the one that it was not let into.
    package var channels: [String] = []
    /// When the WebSocket opened, in milliseconds since 1970.
    package var connectedAt: Int64?
    package var bytesIn: UInt64 = 0
    package var bytesOut: UInt64 = 0
    package var queuedBytes = 0
    package var dropped: UInt32 = 0
    /// Those like it that came behind it and are not kept one by one.
    package var omitted: Omitted?

    /// The label of the cause.
    package var label: String {
        switch reason {
        case .closed(let cause, _): cause.label
        case .refused(let cause): cause.label
        }
    }

    /// Whether an operator wants to read of it in the log at its usual level.
    package var isNoteworthy: Bool {
        switch reason {
        case .closed(let cause, _): cause.isNoteworthy
        case .refused: true
        }
    }
}

extension Ending {
    /// How many endings of one kind and cause are only counted, and when those were.
    package struct Omitted: Sendable, Hashable {
        package var count: Int
        /// When the first and the last of them came, in milliseconds since 1970.
        package var first: Int64
        package var last: Int64
        /// Whether all are of the address of the ending that stands for them.
        package var isOfOneAddress: Bool
    }

    /// When the last came that it stands for.
    var lastTime: Int64 { max(time, omitted?.last ?? time) }

    /// Endings that are further apart, in milliseconds, are not of one flood.
    private static let floodGap: Int64 = 60_000

    /// Whether another one of its kind and cause that came at that time may be of one flood with it.
    func isNear(_ time: Int64) -> Bool { time - lastTime <= Self.floodGap }

    /// Stands for another one from now on, too, that came behind it.
    mutating func absorb(_ other: Ending) {
        let other = Omitted(
            count: 1 + (other.omitted?.count ?? 0), first: min(other.time, other.omitted?.first ?? other.time),
            last: other.lastTime,
            isOfOneAddress: other.address == address && other.omitted?.isOfOneAddress ?? true)
        guard let mine = omitted else {
            omitted = other
            return
        }
        omitted = Omitted(
            count: mine.count + other.count, first: min(mine.first, other.first), last: max(mine.last, other.last),
            isOfOneAddress: mine.isOfOneAddress && other.isOfOneAddress)
    }

    /// What it takes in memory, at most: its strings may be shared with whoever is still there.
    var byteCount: Int {
        var strings = text.utf8.count + (user?.utf8.count ?? 0) + (endpoint?.utf8.count ?? 0)
        for channel in channels { strings += channel.utf8.count + 48 }
        // A string of more than 15 bytes has 32 in front of them.
        return MemoryLayout<Ending>.stride + 3 * 32 + strings
    }
}

/// Who was refused, as far as it is known.
struct RefusedAs {
    /// The path that was asked for, which is the client's to choose.
    var path: String?
    var user: String?
    var channel: String?
    /// The client behind trusted proxies; nil where that is the peer.
    var address: IPAddress?
    var userAgent: String?

    /// Bytes of a path that are kept.
    private static let pathLimit = 128

    /// What is fit to be kept.
    var keptPath: String? {
        path.map { path in
            path.utf8.count <= Self.pathLimit
                ? path : String(decoding: path.utf8.prefix(Self.pathLimit), as: UTF8.self) + "…"
        }
    }
}
