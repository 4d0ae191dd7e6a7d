import Settings
import WebSocket

/// A channel's next messages on their way to the subscribers, in every encoding that these use.
struct Delivery: Sendable {
    /// The frames for every subscriber, if all use one protocol and get the same bytes.
    private(set) var common: Segment?
    /// The encodings of that protocol.
    private var commonProtocol: Encoding.Set = []
    /// The frames by encoding otherwise.
    private var encoded: [Segment?] = []
    /// Those that don't get a message, each with the message's index among the frames of its protocol.
    var exclusions: [Exclusion] = []
    /// The time at which the first of the messages came, in nanoseconds of the monotonic clock.
    var publishedAt: UInt64 = 0

    /// A message that some connections don't get.
    struct Exclusion: Sendable {
        enum Excluded: Sendable {
            /// A sender that doesn't get its own message back.
            case sender(ConnectionReference)
            /// The connections of a user, who isn't told of the user's own coming and going.
            case user(String, ClientProtocol)
        }

        var excluded: Excluded
        var frame: Int
    }

    /// - Parameters:
    ///   - segments: the messages as each protocol sends them; nil if nobody uses it or no message is for it.
    ///   - encodings: those in use.
    init(_ segments: ClientProtocol.Table<Segment?>, for encodings: Encoding.Set) {
        var count = 0
        encodings.forEachProtocol { each in
            count += 1
            common = segments[Int(each.rawValue)]
            commonProtocol = .any(each)
        }
        guard count > 1 else { return }
        common = nil
        commonProtocol = []
        encoded = Array(repeating: nil, count: Encoding.count)
        encodings.forEachProtocol { encoded[Int(Encoding($0).rawValue)] = segments[Int($0.rawValue)] }
    }

    /// Whether `common` is for all users of these encodings.
    func serves(_ encodings: Encoding.Set) -> Bool { commonProtocol.isSuperset(of: encodings) }

    /// The size in bytes of the frames of all encodings.
    var byteCount: Int { common?.count ?? encoded.reduce(0) { $0 + ($1?.count ?? 0) } }

    /// The plain frames of an encoding's protocol.
    func plain(_ encoding: Encoding) -> Segment? {
        guard encoded.isEmpty else { return encoded[Int(encoding.plain.rawValue)] }
        return commonProtocol.contains(Encoding.Set(encoding)) ? common : nil
    }

    /// The frames of an encoding. If it is missing, these are the plain frames, which every client understands.
    subscript(encoding: Encoding) -> Segment? {
        get { encoded.isEmpty ? plain(encoding) : encoded[Int(encoding.rawValue)] ?? plain(encoding) }
        set {
            if encoded.isEmpty {
                encoded = Array(repeating: nil, count: Encoding.count)
                commonProtocol.forEachProtocol { encoded[Int(Encoding($0).rawValue)] = common }
                common = nil
            }
            encoded[Int(encoding.rawValue)] = newValue
        }
    }
}
