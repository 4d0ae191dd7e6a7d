import COpenSSL

/// What the certificates of clients are verified by: authorities, and whether a client has to have one. It never changes.
///
/// `@unchecked Sendable` because OpenSSL counts references to these objects atomically, and nothing changes them.
package final class ClientVerification: @unchecked Sendable {
    /// Whether a client without a certificate is refused.
    package let isRequired: Bool
    /// The name in a certificate that is its client's user; nil if certificates make nobody a user.
    let user: ClientCertificate.NameKind?
    private let store: OpaquePointer
    private let authorities: [OpaquePointer]

    /// The maximum number of authorities: each client is told the names of all.
    private static let maximumAuthorityCount = 100
    /// The most that a client may send as its certificate with the chain, in bytes.
    private static let maximumChainByteCount = 16 * 1024
    /// The maximum number of certificates between that of a client and a root.
    private static let maximumDepth: Int32 = 5

    /// - Parameters:
    ///   - authorities: the certificates of the authorities in PEM.
    ///   - user: the name in a certificate that is its client's user; nil if certificates make nobody a user.
    /// - Throws: every mistake.
    package init(
        authorities bytes: [UInt8], isRequired: Bool, user: ClientCertificate.NameKind? = nil
    ) throws(CertificateErrors) {
        let all: [OpaquePointer]
        do throws(CertificateError) {
            all = try ServerCertificate.certificates(in: bytes, atMost: Self.maximumAuthorityCount)
        } catch { throw CertificateErrors(errors: [error]) }
        guard !all.isEmpty, let store = X509_STORE_new() else {
            for certificate in all { X509_free(certificate) }
            let reason = "there is no certificate of an authority in it; it has to be in PEM"
            throw CertificateErrors(errors: [CertificateError(.certificate, reason)])
        }
        self.store = store
        self.isRequired = isRequired
        self.user = user
        authorities = all
        // One that another has signed is enough of an authority, so that it alone is trusted and not all that the other signs.
        X509_STORE_set_flags(store, UInt(X509_V_FLAG_PARTIAL_CHAIN))
        let mistakes = all.compactMap { certificate -> String? in
            let subject = ClientCertificate.subject(of: certificate)
            guard X509_check_ca(certificate) > 0 else { return "\(subject) is no authority" }
            guard X509_STORE_add_cert(store, certificate) == 1 else {
                return "OpenSSL does not take \(subject): \(lastError())"
            }
            return nil
        }
        guard mistakes.isEmpty else {
            throw CertificateErrors(errors: mistakes.map { CertificateError(.certificate, $0) })
        }
    }

    deinit {
        X509_STORE_free(store)
        for certificate in authorities { X509_free(certificate) }
    }

    /// Makes handshakes of a context ask for certificates; false if OpenSSL does not take them.
    ///
    /// There are no tickets then, and old ones are not good: a session that is resumed would not be verified, though
    /// authorities may have changed and certificates expired since it began.
    func apply(to context: OpaquePointer) -> Bool {
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | (isRequired ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nil)
        SSL_CTX_set_verify_depth(context, Self.maximumDepth)
        copenssl_set_maximum_chain(context, Self.maximumChainByteCount)
        copenssl_turn_tickets_off(context)
        return SSL_CTX_set_num_tickets(context, 0) == 1 && copenssl_set_verify_store(context, store) == 1
            && authorities.allSatisfy { SSL_CTX_add_client_CA(context, $0) == 1 }
    }
}
