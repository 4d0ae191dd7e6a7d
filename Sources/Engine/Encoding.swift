import WebSocket

/// How messages are encoded for a connection: plain, or deflated for the window its client has room for.
///
/// What is published is encoded once for each that anyone in the channel uses, never for each subscriber.
struct Encoding: Equatable, Sendable {
    /// 0: plain; 1 to 8: permessage-deflate with a window of 8 to 15 bits.
    let rawValue: UInt8

    static let plain = Encoding(rawValue: 0)
    /// How many there are.
    static var count: Int { Table<Void>.count }
    /// Something for each, by `rawValue`.
    typealias Table<Element> = InlineArray<9, Element>

    private init(rawValue: UInt8) { self.rawValue = rawValue }

    init(_ agreement: PermessageDeflate?) {
        rawValue = agreement.map { UInt8(($0.serverMaximumWindowBits ?? 15) - 7) } ?? 0
    }

    /// The client's window in bits; nil where it takes no deflated messages.
    var windowBits: Int? { self == .plain ? nil : Int(rawValue) + 7 }

    /// A set of encodings: a bit for each.
    struct Set: OptionSet, Sendable {
        let rawValue: UInt16

        static let plain = Set(.plain)

        init(rawValue: UInt16) { self.rawValue = rawValue }
        init(_ encoding: Encoding) { rawValue = 1 << encoding.rawValue }

        /// Those that deflate, the largest window first.
        var deflating: some Sequence<Encoding> {
            (1..<UInt8(Encoding.count)).reversed().lazy.map { Encoding(rawValue: $0) }.filter { contains(Set($0)) }
        }
    }
}
