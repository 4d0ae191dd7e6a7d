/// The version of TLS that a connection has agreed on.
package enum TLSVersion: UInt8, Sendable, CaseIterable {
    case tls12 = 2
    case tls13 = 3
}

/// The cipher of records.
package enum RecordCipher: UInt8, Sendable, CaseIterable {
    case aes128GCM = 0
    case aes256GCM = 1
    case chaCha20Poly1305 = 2

    /// The size of a key in bytes.
    package var keyByteCount: Int { self == .aes128GCM ? 16 : 32 }
}

/// A cipher suite: what a handshake agrees on, as far as records need it. There are six, all of them AEAD; the suites of TLS
/// 1.2 with RSA and with ECDSA certificates are the same for records.
package struct CipherSuite: Sendable, Hashable, CustomStringConvertible {
    package let version: TLSVersion
    package let cipher: RecordCipher

    package init(_ version: TLSVersion, _ cipher: RecordCipher) {
        self.version = version
        self.cipher = cipher
    }

    package static let all = TLSVersion.allCases.flatMap { version in
        RecordCipher.allCases.map { CipherSuite(version, $0) }
    }

    /// The suite with a number in the registry of IANA; nil for any but the six.
    package init?(number: UInt16) {
        switch number {
        case 0x1301: self.init(.tls13, .aes128GCM)
        case 0x1302: self.init(.tls13, .aes256GCM)
        case 0x1303: self.init(.tls13, .chaCha20Poly1305)
        case 0xC02B, 0xC02F: self.init(.tls12, .aes128GCM)
        case 0xC02C, 0xC030: self.init(.tls12, .aes256GCM)
        case 0xCCA8, 0xCCA9: self.init(.tls12, .chaCha20Poly1305)
        default: return nil
        }
    }

    /// The suite for people, such as "TLS 1.3, AES-128-GCM".
    package var description: String {
        let name =
            switch cipher {
            case .aes128GCM: "AES-128-GCM"
            case .aes256GCM: "AES-256-GCM"
            case .chaCha20Poly1305: "ChaCha20-Poly1305"
            }
        return "TLS 1.\(version.rawValue), \(name)"
    }

    /// The hash of the key schedule.
    package var usesSHA384: Bool { cipher == .aes256GCM }
    /// The size of that hash, and of the traffic secrets of TLS 1.3, in bytes.
    package var hashByteCount: Int { usesSHA384 ? 48 : 32 }
    /// The size of the part of a nonce that stands in each record, in bytes: with AES-GCM in TLS 1.2 (RFC 5288, section 3).
    package var explicitNonceByteCount: Int { version == .tls12 && cipher != .chaCha20Poly1305 ? 8 : 0 }
    /// The size of the IV in the key block of TLS 1.2, in bytes.
    var fixedIVByteCount: Int { 12 - explicitNonceByteCount }
    /// The size of the key block of TLS 1.2, in bytes.
    package var keyBlockByteCount: Int { 2 * (cipher.keyByteCount + fixedIVByteCount) }
    /// The bytes that a record has besides its content.
    package var overhead: Int {
        RecordHeader.byteCount + explicitNonceByteCount + RecordHeader.tagByteCount + (version == .tls13 ? 1 : 0)
    }

    /// The size of the records for this much content, in bytes, with at most so much of it in each.
    func sealedByteCount(of contentByteCount: Int, inRecordsOf most: Int) -> Int {
        contentByteCount + (contentByteCount + most - 1) / most * overhead
    }
}

/// The header of a record, and the sizes that hold for any (RFC 8446, section 5).
package enum RecordHeader {
    package static let byteCount = 5
    /// The size of the tag of every AEAD cipher here.
    static let tagByteCount = 16
    /// The largest content of a record.
    package static let maximumContentByteCount = 1 << 14
    /// What a peer may set as the largest content of the records that it gets, as powers of two (RFC 6066, section 4).
    static let contentExponents: ClosedRange<UInt8> = 9...14
    /// The most that the records of some content have besides it, in bytes: with the smallest records, in TLS 1.2 with AES-GCM.
    package static func maximumOverhead(of contentByteCount: Int) -> Int {
        let least = 1 << Int(contentExponents.lowerBound)
        return (contentByteCount + least - 1) / least * (byteCount + 8 + tagByteCount)
    }
    /// The largest record after its header. TLS 1.2 would allow more, which no AEAD cipher comes to.
    package static let maximumBodyByteCount = maximumContentByteCount + 256

    /// The size of the first record in these bytes, with its header; nil if not even the header is there.
    package static func recordByteCount(_ bytes: UnsafeRawBufferPointer) -> Int? {
        guard bytes.count >= byteCount else { return nil }
        return byteCount + Int(bytes[3]) << 8 + Int(bytes[4])
    }
}

/// What a record holds.
package enum ContentType: UInt8, Sendable {
    case changeCipherSpec = 20
    case alert = 21
    case handshake = 22
    case applicationData = 23
}
