import WebSocket

/// A channel's next messages on their way to the subscribers, in every encoding that these use.
struct Delivery: Sendable {
    /// What every subscriber gets, where all speak one protocol and get the same bytes.
    private(set) var common: Segment?
    /// The encodings of that protocol.
    private var commonProtocol: Encoding.Set = []
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
            commonProtocol = .anyRelay
        } else if encodings.isDisjoint(with: .anyRelay) {
            common = json
            commonProtocol = .anyJSON
        } else {
            encoded = Array(repeating: nil, count: Encoding.count)
            self[.relay] = relay
            self[.json] = json
        }
    }

    /// Whether `common` is for all that use these encodings.
    func serves(_ encodings: Encoding.Set) -> Bool { commonProtocol.isSuperset(of: encodings) }

    /// The bytes of all its encodings.
    var byteCount: Int { common?.count ?? encoded.reduce(0) { $0 + ($1?.count ?? 0) } }

    /// The plain frames of an encoding's protocol.
    func plain(_ encoding: Encoding) -> Segment? {
        guard encoded.isEmpty else { return encoded[Int(encoding.plain.rawValue)] }
        return commonProtocol.contains(Encoding.Set(encoding)) ? common : nil
    }

    /// An encoding that is missing takes the plain frames, which every client understands.
    subscript(encoding: Encoding) -> Segment? {
        get { encoded.isEmpty ? plain(encoding) : encoded[Int(encoding.rawValue)] ?? plain(encoding) }
        set {
            if encoded.isEmpty {
                encoded = Array(repeating: nil, count: Encoding.count)
                for plain in [Encoding.relay, .json] where commonProtocol.contains(Encoding.Set(plain)) {
                    encoded[Int(plain.rawValue)] = common
                }
                common = nil
            }
            encoded[Int(encoding.rawValue)] = newValue
        }
    }
}
