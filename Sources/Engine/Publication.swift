import WebSocket

/// A channel's next messages in every encoding that its subscribers use.
struct Publication: Sendable {
    /// What every subscriber gets, where all get the same bytes.
    private(set) var common: Segment?
    /// Otherwise by encoding.
    private var encoded: [Segment?] = []
    /// Senders who do not want their own messages back, each with the place of one among the frames of `json`.
    var exclusions: [Exclusion] = []
    /// When the first of the messages came, in nanoseconds of the monotonic clock.
    var publishedAt: UInt64 = 0

    /// A message that one connection is not to get.
    struct Exclusion: Sendable {
        var connection: ConnectionID
        var frame: Int
    }

    /// - Parameters:
    ///   - relay: the messages as the `relay` protocol sends them; nil where nobody uses it.
    ///   - json: as the `json` protocol sends them; nil where nobody uses it, or nothing is for it.
    init(relay: Segment?, json: Segment?, for encodings: Encoding.Set) {
        if encodings.isDisjoint(with: .anyJSON) {
            common = relay
        } else if encodings.isDisjoint(with: .anyRelay) {
            common = json
        } else {
            encoded = Array(repeating: nil, count: Encoding.count)
            self[.relay] = relay
            self[.json] = json
        }
    }

    /// How many messages it has; those of one protocol are in no other, so that it is the larger number.
    var messageCount: Int {
        common?.messageCount ?? max(self[.relay]?.messageCount ?? 0, self[.json]?.messageCount ?? 0)
    }

    /// The plain frames of an encoding's protocol.
    func plain(_ encoding: Encoding) -> Segment? {
        encoded.isEmpty ? common : encoded[Int(encoding.plain.rawValue)]
    }

    /// An encoding that is missing takes the plain frames, which every client understands.
    subscript(encoding: Encoding) -> Segment? {
        get { encoded.isEmpty ? common : encoded[Int(encoding.rawValue)] ?? plain(encoding) }
        set {
            if encoded.isEmpty {
                encoded = Array(repeating: nil, count: Encoding.count)
                encoded[Int(Encoding.relay.rawValue)] = common
                encoded[Int(Encoding.json.rawValue)] = common
                common = nil
            }
            encoded[Int(encoding.rawValue)] = newValue
        }
    }
}
