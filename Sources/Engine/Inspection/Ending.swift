package import Base
package import WebSocket

/// A WebSocket that began to end, or a client that was refused, with the data that explains why.
package struct Ending: Sendable {
    package enum Reason: Sendable {
        case closed(CloseCause, CloseCode)
        case refused(RefusalCause)

        /// The raw value of the cause among those of its kind.
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
    /// The reason sent to the client, or received from it.
    package var text: String
    package var address: IPAddress
    /// The port of the peer, which may be a proxy; 0 if it is not known.
    package var port: UInt16 = 0
    /// The status of the response to a refused client.
    package var status: HTTPStatus?
    /// The client's User-Agent; only set while `Hub.reportsEverything`.
    package var userAgent: String?
    /// The connection's id; nil for a refused client.
    package var id: ConnectionID?
    /// The user; that of a refused client is known only from a token with a valid signature.
    package var user: String?
    /// The endpoint's path, or the path of the refused request.
    package var endpoint: String?
    /// The first of the channels that the connection was in, or the one that it was refused.
    package var channels: [String] = []
    /// The time at which the WebSocket opened, in milliseconds since 1970.
    package var connectedAt: Int64?
    package var bytesIn: UInt64 = 0
    package var bytesOut: UInt64 = 0
    package var queuedBytes = 0
    package var dropped: UInt32 = 0
    /// The endings like this one that came after it and are only counted.
    package var omitted: Omitted?

    /// The label of the cause.
    package var label: String {
        switch reason {
        case .closed(let cause, _): cause.label
        case .refused(let cause): cause.label
        }
    }

    /// Whether the ending is logged at the default level.
    package var isNoteworthy: Bool {
        switch reason {
        case .closed(let cause, _): cause.isNoteworthy
        case .refused: true
        }
    }
}

extension Ending {
    /// The number of endings of one kind and cause that are only counted, and their times.
    package struct Omitted: Sendable, Hashable {
        package var count: Int
        /// The times of the first and the last of them, in milliseconds since 1970.
        package var first: Int64
        package var last: Int64
        /// Whether all are from the address of the ending that stands for them.
        package var isOfOneAddress: Bool
    }

    /// The time of the last ending that this one stands for.
    var lastTime: Int64 { max(time, omitted?.last ?? time) }

    /// The time in milliseconds beyond which two endings are not of one flood.
    private static let floodGap: Int64 = 60_000

    /// Whether another ending of the same kind and cause, at that time, may be of one flood with this one.
    func isNear(_ time: Int64) -> Bool { time - lastTime <= Self.floodGap }

    /// Makes this ending also stand for another one that came after it.
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

    /// The maximum memory of the ending, in bytes: its strings may be shared with open connections.
    var byteCount: Int {
        var strings = text.utf8.count + (user?.utf8.count ?? 0) + (endpoint?.utf8.count ?? 0)
        for channel in channels { strings += channel.utf8.count + 48 }
        // A string of more than 15 bytes has a header of 32 bytes.
        return MemoryLayout<Ending>.stride + 3 * 32 + strings
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
