import COpenSSL
import Glibc
import TLSRecords

/// A certificate with its chain and its key: one that a client can be shown.
///
/// `@unchecked Sendable` because OpenSSL counts references to these objects atomically, and nothing changes them.
package final class ServerCertificate: @unchecked Sendable {
    /// The names of hosts that it is for, in lower case.
    package let names: [String]
    /// The times at which it becomes valid and expires, in seconds since 1970.
    package let beginsAt: Int64
    package let expiresAt: Int64
    /// The kind of its key, such as "RSA" and "EC".
    package let keyKind: String
    /// What clients will miss between it and an authority; nil if nothing.
    package let gap: String?

    let certificate: OpaquePointer
    let key: OpaquePointer
    /// The certificates of the authorities between it and a root.
    let chain: OpaquePointer

    /// - Parameters:
    ///   - certificate: the certificate and its chain in PEM, as authorities deliver them.
    ///   - key: its key in PEM, without a passphrase.
    ///   - now: the time at which it has to be valid, in seconds since 1970; nil: at no certain time.
    package init(certificate bytes: [UInt8], key keyBytes: [UInt8], now: Int64?) throws(CertificateError) {
        let all = try ServerCertificate.certificates(in: bytes, atMost: 16)
        defer { for certificate in all { X509_free(certificate) } }
        guard let first = all.first else {
            throw CertificateError(.certificate, "there is no certificate in it; it has to be in PEM")
        }
        let expiresAt = ServerCertificate.seconds(X509_get0_notAfter(first))
        guard let expiresAt, let beginsAt = ServerCertificate.seconds(X509_get0_notBefore(first)) else {
            throw CertificateError(.certificate, "its certificate has no valid dates")
        }
        guard now.map({ $0 < expiresAt }) ?? true else {
            throw CertificateError(.certificate, "its certificate expired on \(ServerCertificate.date(expiresAt))")
        }
        guard now.map({ $0 >= beginsAt }) ?? true else {
            throw CertificateError(
                .certificate, "its certificate is not valid before \(ServerCertificate.date(beginsAt))")
        }
        for (index, (certificate, issuer)) in zip(all, all.dropFirst()).enumerated()
        where X509_check_issued(issuer, certificate) != X509_V_OK {
            throw CertificateError(
                .certificate,
                """
                the chain is out of order: certificate \(index + 2) in it, \(ClientCertificate.subject(of: issuer)), is not \
                that of the issuer of certificate \(index + 1), \(ClientCertificate.issuer(of: certificate)); each has to be \
                followed by that of its issuer, the server's first
                """)
        }
        guard let key = ServerCertificate.key(in: keyBytes) else {
            throw CertificateError(
                .key, "there is no private key in it that can be read; it has to be in PEM, without a passphrase")
        }
        guard X509_check_private_key(first, key) == 1 else {
            EVP_PKEY_free(key)
            ERR_clear_error()
            throw CertificateError(.key, "it is not the key of the certificate")
        }
        guard let chain = copenssl_new_chain() else {
            EVP_PKEY_free(key)
            throw CertificateError(.certificate, "out of memory")
        }
        for certificate in all.dropFirst() { _ = copenssl_append(chain, certificate) }
        X509_up_ref(first)
        certificate = first
        self.key = key
        self.chain = chain
        self.beginsAt = beginsAt
        self.expiresAt = expiresAt
        keyKind = EVP_PKEY_get0_type_name(key).map { String(cString: $0) } ?? "unknown"
        names = ServerCertificate.names(of: first)
        gap = ServerCertificate.gap(behind: first, chain)
    }

    deinit {
        X509_free(certificate)
        EVP_PKEY_free(key)
        copenssl_free_chain(chain)
    }

    /// Whether the certificate is for a host, whose name is in lower case (RFC 6125, section 6.4).
    func isFor(_ host: String) -> Bool {
        names.contains { name in
            guard name.hasPrefix("*.") else { return name == host }
            guard let dot = host.firstIndex(of: "."), dot > host.startIndex else { return false }
            return host[dot...] == name.dropFirst()
        }
    }

    /// The certificates in PEM, of which the caller frees each.
    static func certificates(in bytes: [UInt8], atMost most: Int) throws(CertificateError) -> [OpaquePointer] {
        var found: [OpaquePointer] = []
        let mistake: String? = withBIO(bytes) { bio in
            while true {
                ERR_clear_error()
                guard let next = PEM_read_bio_X509(bio, nil, noPassphrase, nil) else { break }
                found.append(next)
                if found.count > most { return "there are more than \(most) certificates in it" }
            }
            // Nothing more begins, or something began that is no certificate.
            let error = ERR_peek_last_error()
            if ERR_GET_LIB(error) == ERR_LIB_PEM, ERR_GET_REASON(error) == PEM_R_NO_START_LINE { return nil }
            return "certificate \(found.count + 1) in it can't be read: \(lastError())"
        }
        guard let mistake else { return found }
        for certificate in found { X509_free(certificate) }
        throw CertificateError(.certificate, mistake)
    }

    private static func key(in bytes: [UInt8]) -> OpaquePointer? {
        withBIO(bytes) { PEM_read_bio_PrivateKey($0, nil, noPassphrase, nil) }
    }

    /// Answers the question for a passphrase, which OpenSSL would otherwise ask at the terminal.
    private static let noPassphrase:
        @convention(c) (UnsafeMutablePointer<CChar>?, Int32, Int32, UnsafeMutableRawPointer?) -> Int32 =
            { _, _, _, _ in -1 }

    private static func withBIO<Result>(_ bytes: [UInt8], _ body: (OpaquePointer) -> Result?) -> Result? {
        wipeFreedMemory()
        return bytes.withUnsafeBytes { bytes in
            guard let bio = BIO_new_mem_buf(bytes.baseAddress, Int32(clamping: bytes.count)) else { return nil }
            defer {
                BIO_free(bio)
                ERR_clear_error()
            }
            return body(bio)
        }
    }

    private static func names(of certificate: OpaquePointer) -> [String] {
        guard let found = X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil) else { return [] }
        let names = OpaquePointer(found)
        defer { copenssl_free_names(names) }
        return (0..<copenssl_alternative_name_count(names)).compactMap { index in
            var length: Int32 = 0
            guard let text = copenssl_dns_name(names, index, &length) else { return nil }
            let bytes = UnsafeRawBufferPointer(start: text, count: Int(length))
            return String(decoding: bytes, as: UTF8.self).lowercased()
        }
    }

    /// A time in a certificate, in seconds since 1970.
    static func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int64? {
        var parts = tm()
        guard let time, ASN1_TIME_to_tm(time, &parts) == 1 else { return nil }
        return Int64(timegm(&parts))
    }

    private static func date(_ seconds: Int64) -> String {
        var time = time_t(seconds)
        var parts = tm()
        gmtime_r(&time, &parts)
        func padded(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
        return "\(parts.tm_year + 1900)-\(padded(parts.tm_mon + 1))-\(padded(parts.tm_mday))"
    }
}

/// The reason why a certificate or its key can't be used.
package struct CertificateError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum File: Sendable {
        case certificate
        case key
        /// That of the authorities that are trusted.
        case authorities
    }

    /// The file that is wrong.
    package let file: File
    package let description: String

    init(_ file: File, _ description: String) {
        self.file = file
        self.description = description
    }
}
