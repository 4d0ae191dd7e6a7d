package import WebSocket

/// A WebSocket that began to end, or a client that was refused: what an operator who asks why needs to know.
package struct Ending: Sendable {
    package enum Reason: Sendable {
        case closed(CloseCause, CloseCode)
        case refused(RefusalCause)
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

/// The last endings of a worker.
struct Endings {
    /// How many are kept.
    private let capacity: Int
    private var entries: ContiguousArray<Ending> = []
    /// The place of the oldest, once all places are taken.
    private var next = 0

    init(capacity: Int) { self.capacity = capacity }

    mutating func append(_ ending: Ending) {
        if entries.count < capacity {
            entries.append(ending)
        } else {
            entries[next] = ending
            next = (next + 1) % capacity
        }
    }

    /// The newest that are meant, the newest first.
    func last(_ limit: Int, where isMeant: (Ending) -> Bool) -> [Ending] {
        var found: [Ending] = []
        for offset in entries.indices {
            let place = (next + entries.count - 1 - offset) % entries.count
            guard isMeant(entries[place]) else { continue }
            found.append(entries[place])
            if found.count == limit { break }
        }
        return found
    }
}
