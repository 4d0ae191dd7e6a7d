/// The negotiation of permessage-deflate (RFC 7692, sections 5 and 7.1).
///
/// The server keeps no window between messages, neither way: it answers `server_no_context_takeover` and
/// `client_no_context_takeover`, which it may without being asked (section 7.1.1), so that an idle connection needs no memory
/// and a message is compressed once for all who hear it.
package struct PermessageDeflate: Equatable, Sendable {
    /// The largest window the client lets the server use, in bits, 8 to 15; nil where it did not say, which means 15.
    package var serverMaximumWindowBits: Int?

    package init(serverMaximumWindowBits: Int? = nil) { self.serverMaximumWindowBits = serverMaximumWindowBits }

    /// The first offer that can be accepted.
    ///
    /// - Parameter fields: every Sec-WebSocket-Extensions line of the request, in order.
    /// - Returns: nil where there is none. Offers that are malformed, or have a parameter that is unknown, repeated or
    ///   invalid, are declined as section 7.1 demands, and the next is looked at.
    package static func negotiate(_ fields: [String]) -> PermessageDeflate? {
        for field in fields {
            for element in ListElements(field, separator: UInt8(ascii: ",")) {
                if let agreement = PermessageDeflate(offer: element) { return agreement }
            }
        }
        return nil
    }

    /// What to answer in Sec-WebSocket-Extensions.
    package var answer: String {
        var text = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        if let bits = serverMaximumWindowBits { text += "; server_max_window_bits=\(bits)" }
        return text
    }

    private init?(offer: Substring) {
        var parts = ListElements(offer, separator: UInt8(ascii: ";")).makeIterator()
        guard let name = parts.next(), name.lowercased() == "permessage-deflate" else { return nil }
        var seen: Set<String> = []
        while let part = parts.next() {
            guard let parameter = Parameter(part), seen.insert(parameter.name).inserted else { return nil }
            switch parameter.name {
            case "server_no_context_takeover", "client_no_context_takeover":
                guard parameter.value == nil else { return nil }
            case "server_max_window_bits":
                guard let bits = parameter.windowBits else { return nil }
                serverMaximumWindowBits = bits
            case "client_max_window_bits":
                // Without a value it says only that the server may ask for one. It needn't: it inflates any window.
                guard parameter.value == nil || parameter.windowBits != nil else { return nil }
            default:
                return nil
            }
        }
    }
}

/// One parameter of an extension: a token, and after `=` perhaps a token or a quoted one (RFC 6455, section 9.1).
private struct Parameter {
    var name: String
    var value: String?

    init?(_ text: Substring) {
        guard let equals = text.utf8.firstIndex(of: UInt8(ascii: "=")) else {
            guard Self.isToken(text) else { return nil }
            name = text.lowercased()
            return
        }
        let before = text[..<equals].trimmed
        guard Self.isToken(before), let value = Self.unquoted(text[text.utf8.index(after: equals)...].trimmed) else {
            return nil
        }
        name = before.lowercased()
        self.value = value
    }

    /// 8 to 15, without a leading zero (RFC 7692, section 7.1.2).
    var windowBits: Int? {
        guard let value, value.utf8.first != UInt8(ascii: "0"), value.utf8.allSatisfy({ 0x30...0x39 ~= $0 }),
            let bits = Int(value), 8...15 ~= bits
        else { return nil }
        return bits
    }

    private static func isToken(_ text: Substring) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy(RequestParser.isToken)
    }

    /// The token itself, out of its quotes where it is in some.
    private static func unquoted(_ text: Substring) -> String? {
        guard text.utf8.first == UInt8(ascii: "\"") else { return isToken(text) ? String(text) : nil }
        guard text.utf8.count >= 2, text.utf8.last == UInt8(ascii: "\"") else { return nil }
        var value: [UInt8] = []
        var isEscaped = false
        for byte in text.utf8.dropFirst().dropLast() {
            if byte == UInt8(ascii: "\\"), !isEscaped {
                isEscaped = true
            } else {
                value.append(byte)
                isEscaped = false
            }
        }
        let token = String(decoding: value, as: UTF8.self)
        return !isEscaped && isToken(token[...]) ? token : nil
    }
}

/// The elements of a list, trimmed, empty ones too; a separator within quotes separates nothing.
private struct ListElements: Sequence, IteratorProtocol {
    private var rest: Substring?
    private let separator: UInt8

    init(_ text: some StringProtocol, separator: UInt8) {
        rest = Substring(text)
        self.separator = separator
    }

    mutating func next() -> Substring? {
        guard let text = rest else { return nil }
        var isQuoted = false
        var isEscaped = false
        for index in text.utf8.indices {
            let byte = text.utf8[index]
            if isEscaped {
                isEscaped = false
            } else if isQuoted, byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                isQuoted.toggle()
            } else if byte == separator, !isQuoted {
                rest = text[text.utf8.index(after: index)...]
                return text[..<index].trimmed
            }
        }
        rest = nil
        return text.trimmed
    }
}
