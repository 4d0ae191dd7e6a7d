import COpenSSL

/// Whom the certificate of a client names, after it was verified.
package final class ClientCertificate: Sendable {
    /// The subject (RFC 2253), such as "CN=alice,O=Example".
    package let subject: String
    /// The names of hosts and the addresses of mail in it, and URIs; those that are printable ASCII.
    package let names: [String]
    /// The name in it that is the client's user, empty if it has none; nil if certificates make nobody a user. It is as in the
    /// certificate, and may not be fit for a user.
    package let user: String?
    /// The time at which it expires, in seconds since 1970; nil if an earlier process did not know.
    package let expiresAt: Int64?

    /// The name in a certificate that is its user.
    package enum NameKind: Sendable {
        /// The common name in the subject; the last of several, which is the most specific.
        case commonName
        /// The first alternative name of a kind.
        case dns, email, uri
    }

    /// The maximum sizes of the subject and of a name, in bytes; what is longer is cut or left out.
    package static let maximumSubjectByteCount = 256
    package static let maximumNameByteCount = 255
    /// The maximum size of the name of a user, in bytes; one that is longer is as none.
    package static let maximumUserByteCount = 255
    /// The maximum number of names; others are left out.
    package static let maximumNameCount = 4

    /// Those of a certificate as they were kept. They are within the limits.
    package init(subject: String, names: [String], user: String? = nil, expiresAt: Int64? = nil) {
        self.subject = subject
        self.names = names
        self.user = user
        self.expiresAt = expiresAt
    }

    /// - Parameter kind: the name that is the user; nil for none.
    convenience init(_ certificate: OpaquePointer, user kind: NameKind?) {
        self.init(
            subject: Self.subject(of: certificate), names: Self.names(of: certificate),
            user: kind.map { Self.user(of: certificate, $0) ?? "" },
            expiresAt: ServerCertificate.seconds(X509_get0_notAfter(certificate)))
    }

    /// The subject of a certificate, in ASCII: OpenSSL escapes everything else.
    static func subject(of certificate: OpaquePointer) -> String { text(of: X509_get_subject_name(certificate)) }

    /// Who has signed a certificate, likewise.
    static func issuer(of certificate: OpaquePointer) -> String { text(of: X509_get_issuer_name(certificate)) }

    private static func text(of name: OpaquePointer?) -> String {
        guard let bio = BIO_new(BIO_s_mem()) else { return "" }
        defer { BIO_free(bio) }
        guard X509_NAME_print_ex(bio, name, 0, copenssl_name_format()) >= 0 else {
            ERR_clear_error()
            return ""
        }
        let bytes = [UInt8](unsafeUninitializedCapacity: maximumSubjectByteCount) { buffer, count in
            count = max(0, Int(BIO_read(bio, buffer.baseAddress, Int32(clamping: buffer.count))))
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func user(of certificate: OpaquePointer, _ kind: NameKind) -> String? {
        switch kind {
        case .commonName: commonName(of: certificate)
        case .dns: firstName(of: certificate, GEN_DNS)
        case .email: firstName(of: certificate, GEN_EMAIL)
        case .uri: firstName(of: certificate, GEN_URI)
        }
    }

    private static func commonName(of certificate: OpaquePointer) -> String? {
        let subject = X509_get_subject_name(certificate)
        var last: Int32 = -1
        while case let next = X509_NAME_get_index_by_NID(subject, NID_commonName, last), next >= 0 { last = next }
        guard last >= 0 else { return nil }
        var text: UnsafeMutablePointer<UInt8>?
        let count = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last)))
        defer { copenssl_free_text(text) }
        return self.text(text, count)
    }

    private static func firstName(of certificate: OpaquePointer, _ type: Int32) -> String? {
        guard let found = X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil) else { return nil }
        let names = OpaquePointer(found)
        defer { copenssl_free_names(names) }
        for index in 0..<copenssl_alternative_name_count(names) where copenssl_is_name(names, index, type) == 1 {
            var length: Int32 = 0
            return text(copenssl_text_name(names, index, &length), length)
        }
        return nil
    }

    private static func text(_ bytes: UnsafeRawPointer?, _ count: Int32) -> String? {
        guard let bytes, 1...maximumUserByteCount ~= Int(count) else {
            ERR_clear_error()
            return nil
        }
        return String(validating: UnsafeRawBufferPointer(start: bytes, count: Int(count)), as: UTF8.self)
    }

    private static func names(of certificate: OpaquePointer) -> [String] {
        guard let found = X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil) else { return [] }
        let names = OpaquePointer(found)
        defer { copenssl_free_names(names) }
        var kept: [String] = []
        for index in 0..<copenssl_alternative_name_count(names) where kept.count < maximumNameCount {
            var length: Int32 = 0
            guard let text = copenssl_text_name(names, index, &length), 1...maximumNameByteCount ~= Int(length) else {
                continue
            }
            let bytes = UnsafeRawBufferPointer(start: text, count: Int(length))
            if bytes.allSatisfy({ 0x21...0x7E ~= $0 }) { kept.append(String(decoding: bytes, as: UTF8.self)) }
        }
        return kept
    }
}
