/// The negotiation of permessage-deflate (RFC 7692, sections 5 and 7.1).
///
/// The server keeps no window between messages in either direction: it responds with `server_no_context_takeover` and
/// `client_no_context_takeover`, which it may do unasked (section 7.1.1), so that an idle connection needs no memory
/// and a message is compressed once for all recipients.
package struct PermessageDeflate: Equatable, Sendable {
    /// The largest window that the client allows the server, in bits, 8 to 15; nil if the client named none, which
    /// means 15.
    package var serverMaximumWindowBits: Int?

    package init(serverMaximumWindowBits: Int? = nil) { self.serverMaximumWindowBits = serverMaximumWindowBits }

    /// The first offer that can be accepted.
    ///
    /// - Parameter fields: every Sec-WebSocket-Extensions line of the request, in order.
    /// - Returns: nil if there is none. Offers that are malformed, or have an unknown, repeated or invalid parameter,
    ///   are declined as section 7.1 demands, and the next offer is tried.
    package static func negotiate(_ fields: [String]) -> PermessageDeflate? {
        for field in fields {
            let agreement = field.withBytes { field -> PermessageDeflate? in
                var offers = ListElements(field, separator: UInt8(ascii: ","))
                while let offer = offers.next() {
                    if let agreement = PermessageDeflate(offer: offer) { return agreement }
                }
                return nil
            }
            if let agreement { return agreement }
        }
        return nil
    }

    /// The value of Sec-WebSocket-Extensions in the response.
    package var answer: String {
        var text = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        if let bits = serverMaximumWindowBits { text += "; server_max_window_bits=\(bits)" }
        return text
    }

    private init?(offer: UnsafeRawBufferPointer) {
        guard offer.hasPrefix("permessage-deflate") else { return nil }
        var parts = ListElements(offer, separator: UInt8(ascii: ";"))
        guard let name = parts.next(), name.isWord("permessage-deflate") else { return nil }
        var seen: Set<Parameter.Name> = []
        while let part = parts.next() {
            guard let parameter = Parameter(part), seen.insert(parameter.name).inserted else { return nil }
            switch (parameter.name, parameter.value) {
            case (.serverNoContextTakeover, .none), (.clientNoContextTakeover, .none): break
            case (.serverMaximumWindowBits, .windowBits(let bits)): serverMaximumWindowBits = bits
            // Without a value, it means only that the server may name one. The server needn't: it inflates any window.
            case (.clientMaximumWindowBits, .none), (.clientMaximumWindowBits, .windowBits): break
            default: return nil
            }
        }
    }
}

/// One parameter of the extension: a token, optionally followed by `=` and a token, plain or quoted (RFC 6455, section
/// 9.1).
private struct Parameter {
    enum Name {
        case serverNoContextTakeover, clientNoContextTakeover, serverMaximumWindowBits, clientMaximumWindowBits
    }

    enum Value {
        case none
        /// 8 to 15, without a leading zero (RFC 7692, section 7.1.2): the only values that any parameter takes.
        case windowBits(Int)
    }

    let name: Name
    let value: Value

    /// Nil if the RFC doesn't define the name or the value.
    init?(_ text: UnsafeRawBufferPointer) {
        let equals = text.index(of: UInt8(ascii: "="))
        guard let name = Self.name(text.part(0..<(equals ?? text.count)).trimmed) else { return nil }
        self.name = name
        guard let equals else {
            value = .none
            return
        }
        guard let bits = Self.windowBits(text.part((equals + 1)..<text.count).trimmed) else { return nil }
        value = .windowBits(bits)
    }

    private static func name(_ text: UnsafeRawBufferPointer) -> Name? {
        if text.isWord("server_no_context_takeover") { return .serverNoContextTakeover }
        if text.isWord("client_no_context_takeover") { return .clientNoContextTakeover }
        if text.isWord("server_max_window_bits") { return .serverMaximumWindowBits }
        if text.isWord("client_max_window_bits") { return .clientMaximumWindowBits }
        return nil
    }

    /// The number without its quotes, if it has any; nil if it is not 8 to 15.
    private static func windowBits(_ text: UnsafeRawBufferPointer) -> Int? {
        var digits = text
        let isQuoted = text.first == UInt8(ascii: "\"")
        if isQuoted {
            guard text.count >= 2, text.last == UInt8(ascii: "\"") else { return nil }
            digits = text.part(1..<(text.count - 1))
        }
        var bits = 0
        var isEscaped = false
        for byte in digits {
            if isQuoted, !isEscaped, byte == UInt8(ascii: "\\") {
                isEscaped = true
                continue
            }
            isEscaped = false
            guard 0x30...0x39 ~= byte, bits > 0 || byte != 0x30 else { return nil }
            bits = bits * 10 + Int(byte - 0x30)
            guard bits <= 15 else { return nil }
        }
        return bits >= 8 && !isEscaped ? bits : nil
    }
}

/// The elements of a list, trimmed, including empty ones; a separator within quotes does not count.
private struct ListElements {
    private let bytes: UnsafeRawBufferPointer
    private let separator: UInt8
    private var position = 0

    init(_ bytes: UnsafeRawBufferPointer, separator: UInt8) {
        self.bytes = bytes
        self.separator = separator
    }

    mutating func next() -> UnsafeRawBufferPointer? {
        guard position <= bytes.count else { return nil }
        let start = position
        var isQuoted = false
        var isEscaped = false
        var index = start
        while index < bytes.count {
            let byte = bytes[index]
            if isEscaped {
                isEscaped = false
            } else if isQuoted, byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                isQuoted.toggle()
            } else if byte == separator, !isQuoted {
                break
            }
            index += 1
        }
        position = index + 1
        return bytes.part(start..<index).trimmed
    }
}
