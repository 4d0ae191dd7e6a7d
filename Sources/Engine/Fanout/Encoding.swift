import Settings
import WebSocket

/// The form in which a connection gets a channel's messages: in its endpoint's protocol, plain or deflated for the
/// window that its client has agreed to.
///
/// A message is encoded once for each encoding in use in the channel, never for each subscriber.
struct Encoding: Equatable, Sendable {
    /// For the first protocol 0: plain, and 1 to 8: permessage-deflate with a window of 8 to 15 bits; from 9 on the same
    /// for the next.
    let rawValue: UInt8

    /// The number of encodings of one protocol.
    private static let perProtocol: UInt8 = 9

    /// The number of encodings.
    static var count: Int { Table<Void>.count }
    /// A table with an element for each encoding, by `rawValue`.
    typealias Table<Element> = InlineArray<18, Element>

    private init(rawValue: UInt8) { self.rawValue = rawValue }

    init(_ clientProtocol: ClientProtocol, _ agreement: PermessageDeflate? = nil) {
        rawValue =
            clientProtocol.rawValue * Encoding.perProtocol
            + (agreement.map { UInt8(($0.serverMaximumWindowBits ?? 15) - 7) } ?? 0)
    }

    /// The encoding for a window in bits, 8 to 15; nil for any other number.
    init?(_ clientProtocol: ClientProtocol, windowBits: Int) {
        guard 8...15 ~= windowBits else { return nil }
        self.init(clientProtocol, PermessageDeflate(serverMaximumWindowBits: windowBits))
    }

    /// The encoding of a connection whose endpoint is not known yet.
    static let unknown = Encoding(rawValue: 0)

    var clientProtocol: ClientProtocol { ClientProtocol(rawValue: rawValue / Encoding.perProtocol) ?? .relay }
    var isPlain: Bool { rawValue % Encoding.perProtocol == 0 }
    /// The plain encoding of the same protocol.
    var plain: Encoding { Encoding(rawValue: rawValue - rawValue % Encoding.perProtocol) }

    /// The client's window in bits; nil if it takes no deflated messages.
    var windowBits: Int? { isPlain ? nil : Int(rawValue % Encoding.perProtocol) + 7 }

    /// A set of encodings: a bit for each.
    struct Set: OptionSet, Sendable {
        let rawValue: UInt64

        init(rawValue: UInt64) { self.rawValue = rawValue }
        init(_ encoding: Encoding) { rawValue = 1 << UInt64(encoding.rawValue) }

        /// All encodings of a protocol.
        static func any(_ clientProtocol: ClientProtocol) -> Set {
            Set(rawValue: 0x1FF << UInt64(clientProtocol.rawValue * Encoding.perProtocol))
        }

        /// The encodings of protocols whose clients get the numbers of messages.
        static let anyNumbered = ClientProtocol.allCases.filter(\.isNumbered).reduce(into: Set()) {
            $0.formUnion(.any($1))
        }

        /// The plain encodings.
        private static let plain = ClientProtocol.allCases.reduce(into: Set()) { $0.insert(Set(Encoding($1))) }

        /// Whether any encoding of a protocol is in the set.
        func uses(_ clientProtocol: ClientProtocol) -> Bool { !isDisjoint(with: .any(clientProtocol)) }

        /// Passes the protocols with an encoding in the set to `body`.
        @inline(__always)
        func forEachProtocol(_ body: (ClientProtocol) -> Void) {
            for value in 0..<UInt8(ClientProtocol.Table<Void>.count) {
                if let each = ClientProtocol(rawValue: value), uses(each) { body(each) }
            }
        }

        /// The number of encodings in the set that deflate.
        var deflatingCount: Int { subtracting(.plain).rawValue.nonzeroBitCount }

        /// The encodings in the set that deflate, the largest window of a protocol first.
        var deflating: some Sequence<Encoding> {
            (0..<UInt8(Encoding.count)).reversed().lazy.map { Encoding(rawValue: $0) }
                .filter { !$0.isPlain && contains(Set($0)) }
        }
    }
}
