import WebSocket

/// What a connection is sent for a channel's message: in the words of its endpoint's protocol, plain or deflated for the
/// window its client has room for.
///
/// What is published is encoded once for each that anyone in the channel uses, never for each subscriber.
struct Encoding: Equatable, Sendable {
    /// 0: plain; 1 to 8: permessage-deflate with a window of 8 to 15 bits; from 9 on the same for the `json` protocol.
    let rawValue: UInt8

    /// Encodings of one protocol.
    private static let perProtocol: UInt8 = 9

    static let relay = Encoding(rawValue: 0)
    static let json = Encoding(rawValue: perProtocol)
    /// How many there are.
    static var count: Int { Table<Void>.count }
    /// Something for each, by `rawValue`.
    typealias Table<Element> = InlineArray<18, Element>

    private init(rawValue: UInt8) { self.rawValue = rawValue }

    init(_ messageProtocol: EngineConfiguration.Endpoint.MessageProtocol, _ agreement: PermessageDeflate?) {
        let plain: Encoding = messageProtocol == .json ? .json : .relay
        rawValue = plain.rawValue + (agreement.map { UInt8(($0.serverMaximumWindowBits ?? 15) - 7) } ?? 0)
    }

    var isJSON: Bool { rawValue >= Encoding.perProtocol }
    var isPlain: Bool { rawValue % Encoding.perProtocol == 0 }
    /// The same protocol's, not deflated.
    var plain: Encoding { isJSON ? .json : .relay }

    /// The client's window in bits; nil where it takes no deflated messages.
    var windowBits: Int? { isPlain ? nil : Int(rawValue % Encoding.perProtocol) + 7 }

    /// A set of encodings: a bit for each.
    struct Set: OptionSet, Sendable {
        let rawValue: UInt32

        static let anyRelay = Set(rawValue: 0x1FF)
        static let anyJSON = Set(rawValue: 0x1FF << 9)

        init(rawValue: UInt32) { self.rawValue = rawValue }
        init(_ encoding: Encoding) { rawValue = 1 << UInt32(encoding.rawValue) }

        /// How many of them deflate.
        var deflatingCount: Int { subtracting([Set(.relay), Set(.json)]).rawValue.nonzeroBitCount }

        /// Those that deflate, the largest window of a protocol first.
        var deflating: some Sequence<Encoding> {
            (0..<UInt8(Encoding.count)).reversed().lazy.map { Encoding(rawValue: $0) }
                .filter { !$0.isPlain && contains(Set($0)) }
        }
    }
}
