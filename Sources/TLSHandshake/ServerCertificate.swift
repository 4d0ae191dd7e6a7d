import COpenSSL
import Glibc
import TLSRecords

/// A certificate with its chain and its key: one that a client can be shown.
///
/// `@unchecked Sendable` because OpenSSL counts references to these objects atomically, and nothing changes them.
package final class ServerCertificate: @unchecked Sendable {
    /// The names of hosts that it is for, in lower case.
    package let names: [String]
    /// The IP addresses that it is for. Clients name no address (RFC 6066, section 3), so that they get the first certificate.
    package let addresses: [String]
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
    /// - Throws: every mistake.
    package init(certificate bytes: [UInt8], key keyBytes: [UInt8], now: Int64?) throws(CertificateErrors) {
        var errors: [CertificateError] = []
        var all: [OpaquePointer] = []
        do throws(CertificateError) { all = try ServerCertificate.certificates(in: bytes, atMost: 16) } catch {
            errors.append(error)
        }
        defer { for certificate in all { X509_free(certificate) } }
        if all.isEmpty, errors.isEmpty {
            errors.append(CertificateError(.certificate, "there is no certificate in it; it has to be in PEM"))
        }
        errors += ServerCertificate.mistakes(inChain: all)
        let first = all.first
        let beginsAt = first.flatMap { ServerCertificate.seconds(X509_get0_notBefore($0)) }
        let expiresAt = first.flatMap { ServerCertificate.seconds(X509_get0_notAfter($0)) }
        if let beginsAt, let expiresAt {
            errors += ServerCertificate.mistakes(at: now, beginsAt, expiresAt)
        } else if first != nil {
            errors.append(CertificateError(.certificate, "its certificate has no valid dates"))
        }
        let key = ServerCertificate.key(in: keyBytes)
        if key == nil {
            errors.append(
                CertificateError(
                    .key, "there is no private key in it that can be read; it has to be in PEM, without a passphrase"))
        }
        if let first, let key, X509_check_private_key(first, key) != 1 {
            ERR_clear_error()
            errors.append(CertificateError(.key, "it is not the key of the certificate"))
        }
        let newChain = errors.isEmpty ? copenssl_new_chain() : nil
        guard let first, let beginsAt, let expiresAt, let key, let chain = newChain else {
            if let key { EVP_PKEY_free(key) }
            throw CertificateErrors(
                errors: errors.isEmpty ? [CertificateError(.certificate, "out of memory")] : errors)
        }
        for certificate in all.dropFirst() { _ = copenssl_append(chain, certificate) }
        X509_up_ref(first)
        certificate = first
        self.key = key
        self.chain = chain
        self.beginsAt = beginsAt
        self.expiresAt = expiresAt
        keyKind = EVP_PKEY_get0_type_name(key).map { String(cString: $0) } ?? "unknown"
        (names, addresses) = ServerCertificate.names(of: first)
        gap = ServerCertificate.gap(behind: first, chain)
    }

    /// What is wrong with the dates of a certificate at a time; nil: at no certain time.
    private static func mistakes(at now: Int64?, _ beginsAt: Int64, _ expiresAt: Int64) -> [CertificateError] {
        guard let now else { return [] }
        if now >= expiresAt { return [CertificateError(.certificate, "its certificate expired on \(date(expiresAt))")] }
        guard now < beginsAt else { return [] }
        return [CertificateError(.certificate, "its certificate is not valid before \(date(beginsAt))")]
    }

    /// The first place at which a certificate is not followed by that of its issuer: those after it follow from it.
    private static func mistakes(inChain all: [OpaquePointer]) -> [CertificateError] {
        for (index, (certificate, issuer)) in zip(all, all.dropFirst()).enumerated()
        where X509_check_issued(issuer, certificate) != X509_V_OK {
            return [
                CertificateError(
                    .certificate,
                    """
                    the chain is out of order: certificate \(index + 2) in it, \(ClientCertificate.subject(of: issuer)), is \
                    not that of the issuer of certificate \(index + 1), \(ClientCertificate.issuer(of: certificate)); each \
                    has to be followed by that of its issuer, the server's first
                    """)
            ]
        }
        return []
    }

    deinit {
        X509_free(certificate)
        EVP_PKEY_free(key)
        copenssl_free_chain(chain)
    }

    /// The names of hosts and the addresses that it is for.
    package var allNames: [String] { names + addresses }

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

    private static func names(of certificate: OpaquePointer) -> (hosts: [String], addresses: [String]) {
        guard let found = X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil) else { return ([], []) }
        let names = OpaquePointer(found)
        defer { copenssl_free_names(names) }
        var hosts: [String] = []
        var addresses: [String] = []
        for index in 0..<copenssl_alternative_name_count(names) {
            var length: Int32 = 0
            if let text = copenssl_dns_name(names, index, &length) {
                let bytes = UnsafeRawBufferPointer(start: text, count: Int(length))
                hosts.append(String(decoding: bytes, as: UTF8.self).lowercased())
            } else if let bytes = copenssl_address_name(names, index, &length), let text = address(bytes, length) {
                addresses.append(text)
            }
        }
        return (hosts, addresses)
    }

    /// The text of an IP address; nil if its bytes are too many or too few.
    private static func address(_ bytes: UnsafeRawPointer, _ count: Int32) -> String? {
        guard count == 4 || count == 16 else { return nil }
        return withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { text in
            inet_ntop(count == 4 ? AF_INET : AF_INET6, bytes, text.baseAddress, socklen_t(text.count)).map {
                String(cString: $0)
            }
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

/// The reasons why a certificate or its key can't be used.
package struct CertificateErrors: Error, Sendable, Equatable, CustomStringConvertible {
    package let errors: [CertificateError]

    init(errors: [CertificateError]) { self.errors = errors }

    package var description: String { errors.map(\.description).joined(separator: "; ") }
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
