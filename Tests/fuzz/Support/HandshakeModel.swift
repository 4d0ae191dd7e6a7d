import WebSocket

/// The rules of the opening handshake (RFC 6455, section 4.2.1; RFC 7692, section 5), on bytes.
enum HandshakeModel {
    /// Whether a head that has the common fields right opens a WebSocket.
    static func opens(_ head: RequestHead) -> Bool {
        let keys = head.values("sec-websocket-key")
        return head.method == "GET" && has(head, "upgrade", "websocket") && has(head, "connection", "upgrade")
            && head.values("sec-websocket-version").map { Array($0.utf8) } == [Array("13".utf8)]
            && keys.count == 1 && isKey(Array(keys[0].utf8))
    }

    /// The window of the first acceptable offer of permessage-deflate: nil where it names none, an outer nil where there
    /// is no such offer. Only for fields without quotes.
    static func window(_ fields: [String]) -> Int?? {
        for offer in fields.flatMap({ split($0, at: ",") }) {
            let parts = split(offer, at: ";")
            guard parts[0] == "permessage-deflate" else { continue }
            var window: Int?
            var names: [String] = []
            let isAcceptable = parts.dropFirst().allSatisfy { part in
                let equals = part.utf8.firstIndex(of: UInt8(ascii: "="))
                let name = trimmed(part[..<(equals ?? part.endIndex)])
                let value = equals.map { trimmed(part[part.index(after: $0)...]) }
                defer { names.append(name) }
                guard !names.contains(name) else { return false }
                let bits = (8...15).first { String($0) == value }
                switch name {
                case "server_no_context_takeover", "client_no_context_takeover": return value == nil
                case "client_max_window_bits": return value == nil || bits != nil
                case "server_max_window_bits":
                    window = bits
                    return bits != nil
                default: return false
                }
            }
            if isAcceptable { return .some(window) }
        }
        return nil
    }

    private static func has(_ head: RequestHead, _ name: String, _ token: String) -> Bool {
        head.values(name).contains { split($0, at: ",").contains(token) }
    }

    /// 16 bytes in base64: 22 characters and two of padding.
    private static func isKey(_ key: [UInt8]) -> Bool {
        key.count == 24 && key.suffix(2) == Array("==".utf8)[...]
            && key.dropLast(2).allSatisfy { Array("+/".utf8).contains($0) || isAlphanumeric($0) }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
    }

    /// The parts of a list, trimmed, A to Z in lower case and nothing else.
    private static func split(_ text: String, at separator: Character) -> [String] {
        text.utf8.split(separator: separator.asciiValue!, omittingEmptySubsequences: false).map {
            let lower = $0.map { (0x41...0x5A).contains($0) ? $0 + 0x20 : $0 }
            return trimmed(String(decoding: lower, as: UTF8.self)[...])
        }
    }

    private static func trimmed(_ text: Substring) -> String {
        let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0x09 }
        let bytes = Array(text.utf8.drop(while: isBlank).reversed().drop(while: isBlank).reversed())
        return String(decoding: bytes, as: UTF8.self)
    }
}
