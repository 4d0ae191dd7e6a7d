import WebSocket

/// The form in which a connection gets a channel's messages: in its endpoint's protocol, plain or deflated for the
/// window that its client has agreed to.
///
/// A message is encoded once for each encoding in use in the channel, never for each subscriber.
struct Encoding: Equatable, Sendable {
    /// For the `relay` protocol 0: plain, and 1 to 8: permessage-deflate with a window of 8 to 15 bits; from 9 on the
    /// same for the `json` protocol.
    let rawValue: UInt8

    /// The number of encodings of one protocol.
    private static let perProtocol: UInt8 = 9

    static let relay = Encoding(rawValue: 0)
    static let json = Encoding(rawValue: perProtocol)
    /// The number of encodings.
    static var count: Int { Table<Void>.count }
    /// A table with an element for each encoding, by `rawValue`.
    typealias Table<Element> = InlineArray<18, Element>

    private init(rawValue: UInt8) { self.rawValue = rawValue }

    init(_ messageProtocol: EngineConfiguration.Endpoint.MessageProtocol, _ agreement: PermessageDeflate?) {
        let plain: Encoding = messageProtocol == .json ? .json : .relay
        rawValue = plain.rawValue + (agreement.map { UInt8(($0.serverMaximumWindowBits ?? 15) - 7) } ?? 0)
    }

    var isJSON: Bool { rawValue >= Encoding.perProtocol }
    var isPlain: Bool { rawValue % Encoding.perProtocol == 0 }
    /// The plain encoding of the same protocol.
    var plain: Encoding { isJSON ? .json : .relay }

    /// The client's window in bits; nil if it takes no deflated messages.
    var windowBits: Int? { isPlain ? nil : Int(rawValue % Encoding.perProtocol) + 7 }

    /// A set of encodings: a bit for each.
    struct Set: OptionSet, Sendable {
        let rawValue: UInt32

        static let anyRelay = Set(rawValue: 0x1FF)
        static let anyJSON = Set(rawValue: 0x1FF << 9)

        init(rawValue: UInt32) { self.rawValue = rawValue }
        init(_ encoding: Encoding) { rawValue = 1 << UInt32(encoding.rawValue) }

        /// The number of encodings in the set that deflate.
        var deflatingCount: Int { subtracting([Set(.relay), Set(.json)]).rawValue.nonzeroBitCount }

        /// The encodings in the set that deflate, the largest window of a protocol first.
        var deflating: some Sequence<Encoding> {
            (0..<UInt8(Encoding.count)).reversed().lazy.map { Encoding(rawValue: $0) }
                .filter { !$0.isPlain && contains(Set($0)) }
        }
    }
}
