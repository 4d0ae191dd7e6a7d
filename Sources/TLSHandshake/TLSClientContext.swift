import COpenSSL

/// What connections to servers have in common: the authorities that are trusted, and this client's certificate. It never
/// changes.
///
/// `@unchecked Sendable` because OpenSSL allows an SSL_CTX in many threads once it is set up.
package final class TLSClientContext: @unchecked Sendable {
    let context: OpaquePointer

    /// The maximum number of authorities in a file.
    private static let maximumAuthorityCount = 2_000

    /// - Parameters:
    ///   - authorities: the certificates of the authorities that are trusted, in PEM; nil for those of the system, as
    ///     update-ca-certificates(8) links them.
    ///   - certificate: this client's certificate, for servers that ask for one.
    package init(authorities: [UInt8]? = nil, certificate: ServerCertificate? = nil) throws(CertificateError) {
        wipeFreedMemory()
        guard let context = SSL_CTX_new(TLS_client_method()) else {
            throw CertificateError(.authorities, "OpenSSL makes no context: \(lastError())")
        }
        self.context = context
        guard copenssl_raise_minimum_version(context, TLS1_2_VERSION) == 1 else {
            throw CertificateError(.authorities, "OpenSSL does not take TLS 1.2: \(lastError())")
        }
        copenssl_set_options(context)
        copenssl_set_mode(context, Int(SSL_MODE_RELEASE_BUFFERS))
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
        let store = SSL_CTX_get_cert_store(context)
        if let authorities {
            let all: [OpaquePointer]
            do { all = try ServerCertificate.certificates(in: authorities, atMost: Self.maximumAuthorityCount) } catch {
                throw CertificateError(.authorities, error.description)
            }
            defer { for authority in all { X509_free(authority) } }
            guard !all.isEmpty else {
                throw CertificateError(.authorities, "there are no certificates in it; they have to be in PEM")
            }
            guard all.allSatisfy({ X509_STORE_add_cert(store, $0) == 1 }) else {
                throw CertificateError(.authorities, "OpenSSL does not take an authority: \(lastError())")
            }
        } else if copenssl_trust_system_alone(store) != 1 {
            throw CertificateError(.authorities, "OpenSSL finds no authorities: \(lastError())")
        }
        if let certificate {
            let isSet = SSL_CTX_use_cert_and_key(
                context, certificate.certificate, certificate.key, certificate.chain, 1)
            guard isSet == 1 else {
                throw CertificateError(.certificate, "OpenSSL does not take it: \(lastError())")
            }
        }
    }

    deinit { SSL_CTX_free(context) }
}

/// The reason why there is no TLS with a server, or no more. The description is what follows the server's name.
package enum TLSClientFault: Error, Sendable, Equatable, CustomStringConvertible {
    /// No authority that is trusted has signed its certificate.
    case untrusted
    /// The certificate is for other names than this one.
    case otherName(String)
    /// Something else is wrong with the certificate, in OpenSSL's words.
    case unfitCertificate(String)
    /// It asks for a certificate of this client.
    case asksForCertificate
    /// What it sends is no TLS.
    case notTLS
    /// The connection ended without an alert that says so (RFC 8446, section 6.1): something may be missing.
    case truncated
    /// Anything else, in OpenSSL's words.
    case failed(String)

    package var description: String {
        switch self {
        case .untrusted: "has a certificate that nobody whom this machine trusts vouches for"
        case .otherName(let name): "has a certificate for another name than \(name)"
        case .unfitCertificate(let reason): "has a certificate that can't be used: \(reason)"
        case .asksForCertificate: "asks for a certificate of this client"
        case .notTLS: "does not use TLS"
        case .truncated: "closed the connection"
        case .failed(let reason): "failed to agree on TLS: \(reason)"
        }
    }
}
