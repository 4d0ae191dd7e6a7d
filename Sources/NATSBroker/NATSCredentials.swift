import Crypto
import FoundationEssentials

/// How a client says who it is.
package enum NATSLogin: Sendable {
    case none
    case user(String, password: String)
    case token(String)
    /// A key of its own, with the user's JWT if the server asks for one.
    case key(NATSKey, jwt: String?)

    /// Reads what a file of credentials has in it: a seed, or a JWT and a seed as `nsc` writes them.
    ///
    /// - Throws: what is wrong with it, without showing any of it.
    package init(file text: String) throws(NATSKeyError) {
        let jwt = Self.section("NATS USER JWT", of: text)
        let seed = Self.section("USER NKEY SEED", of: text)
        if jwt == nil, seed == nil {
            self = .key(try NATSKey(seed: String(text.split(whereSeparator: \.isWhitespace).first ?? "")), jwt: nil)
        } else if let jwt, let seed {
            self = .key(try NATSKey(seed: seed), jwt: jwt)
        } else {
            throw NATSKeyError(
                jwt == nil ? "there is a seed in it and no JWT of a user" : "there is a JWT in it and no seed of a user"
            )
        }
    }

    /// The line after the one that begins a section.
    private static func section(_ name: String, of text: String) -> String? {
        let lines = text.split(whereSeparator: \.isNewline)
        guard let begin = lines.firstIndex(where: { $0.hasPrefix("---") && $0.contains("BEGIN \(name)") }) else {
            return nil
        }
        return lines[(begin + 1)...].lazy.compactMap { $0.split(separator: " ").first.map(String.init) }.first
            .flatMap { $0.hasPrefix("---") ? nil : $0 }
    }
}

/// Why a key can't be used.
package struct NATSKeyError: Error, Equatable, CustomStringConvertible {
    package var description: String

    init(_ description: String) { self.description = description }
}

/// A user's key of Ed25519, as NATS writes them.
package struct NATSKey: Sendable {
    private let key: Curve25519.Signing.PrivateKey
    /// The text that names the key, `U…`.
    package let publicText: String

    /// Reads a seed, `SU…`.
    package init(seed: String) throws(NATSKeyError) {
        guard let raw = Self.decoded(seed), raw.count == 36 else {
            throw NATSKeyError("it is no seed of a user, which begins with SU and has 58 characters")
        }
        guard raw[0] & 0xF8 == 18 << 3, (raw[0] & 7) << 5 | raw[1] >> 3 == 20 << 3 else {
            throw NATSKeyError("it is a key of another kind; a user's seed begins with SU")
        }
        guard Self.checksum(raw[..<34]) == UInt16(raw[34]) | UInt16(raw[35]) << 8,
            let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: raw[2..<34])
        else { throw NATSKeyError("the seed is damaged: its checksum is another") }
        self.key = key
        var bytes = [20 << 3] + Array(key.publicKey.rawRepresentation)
        let sum = Self.checksum(bytes[...])
        bytes += [UInt8(truncatingIfNeeded: sum), UInt8(truncatingIfNeeded: sum >> 8)]
        publicText = Self.encoded(bytes)
    }

    /// The signature of what a server gave to sign, in base 64 for URLs.
    func signature(of nonce: String) -> String? {
        (try? key.signature(for: Data(nonce.utf8))).map { signature in
            signature.base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
        }
    }

    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".utf8)

    private static func decoded(_ text: String) -> [UInt8]? {
        var bytes: [UInt8] = []
        var (bits, count) = (UInt32(0), 0)
        for byte in text.utf8 {
            guard let value = alphabet.firstIndex(of: byte) else { return nil }
            bits = (bits << 5 | UInt32(value)) & 0xFFFF
            count += 5
            if count >= 8 {
                count -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
            }
        }
        return bytes
    }

    private static func encoded(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        var (bits, count) = (UInt32(0), 0)
        for byte in bytes {
            bits = (bits << 8 | UInt32(byte)) & 0xFFFF
            count += 8
            while count >= 5 {
                count -= 5
                text.append(alphabet[Int(bits >> UInt32(count)) & 31])
            }
        }
        if count > 0 { text.append(alphabet[Int(bits << UInt32(5 - count)) & 31]) }
        return String(decoding: text, as: UTF8.self)
    }

    /// CRC-16 as XMODEM has it.
    private static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt16 {
        var sum: UInt16 = 0
        for byte in bytes {
            sum ^= UInt16(byte) << 8
            for _ in 0..<8 { sum = sum & 0x8000 != 0 ? sum << 1 ^ 0x1021 : sum << 1 }
        }
        return sum
    }
}
