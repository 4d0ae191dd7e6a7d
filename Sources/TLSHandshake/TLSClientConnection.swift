import COpenSSL

/// This side of one connection to a server, by OpenSSL, without I/O: the server's bytes in, plaintext out, and the other way
/// round. The server has to have a certificate for its name that an authority vouches for which the context trusts.
package final class TLSClientConnection {
    /// Keeps what `ssl` refers to.
    private let context: TLSClientContext
    private let serverName: String
    private let ssl: OpaquePointer
    /// What OpenSSL reads and what it writes; they belong to `ssl`.
    private let input: OpaquePointer
    private let output: OpaquePointer
    /// Whether the handshake is done.
    package private(set) var isEstablished = false

    package enum Read: Equatable {
        case bytes(Int)
        /// More input is needed.
        case needsMore
        /// The server sends nothing more.
        case closed
    }

    /// - Parameter serverName: the name or the IP address that the server's certificate has to be for.
    package init(_ context: TLSClientContext, serverName: String) throws(TLSClientFault) {
        guard let ssl = SSL_new(context.context) else { throw .failed(lastError()) }
        let (first, second) = (BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()))
        guard let input = first, let output = second else {
            BIO_free(first)
            BIO_free(second)
            SSL_free(ssl)
            throw .failed(lastError())
        }
        (self.context, self.serverName) = (context, serverName)
        (self.ssl, self.input, self.output) = (ssl, input, output)
        SSL_set_bio(ssl, input, output)
        SSL_set_connect_state(ssl)
        ERR_clear_error()
        // The dot behind a name that is complete is no part of it here (RFC 6066, section 3).
        let name = serverName.hasSuffix(".") ? String(serverName.dropLast()) : serverName
        func unfit() -> TLSClientFault { .failed("'\(serverName)' can't be the name of a server") }
        // An empty name would be any.
        guard !name.isEmpty, !name.utf8.contains(0) else { throw unfit() }
        if X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1 { return }
        SSL_set_hostflags(ssl, UInt32(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
        guard SSL_set1_host(ssl, name) == 1, copenssl_set_server_name(ssl, name) == 1 else { throw unfit() }
    }

    deinit { SSL_free(ssl) }

    /// Takes bytes of the server.
    package func take(_ bytes: UnsafeRawBufferPointer) throws(TLSClientFault) {
        guard let base = bytes.baseAddress, !bytes.isEmpty else { return }
        let count = Int32(clamping: bytes.count)
        guard BIO_write(input, base, count) == count, count == bytes.count else { throw .failed("out of memory") }
    }

    /// Begins or continues the handshake, with what there is; there may be output in any case.
    package func advance() throws(TLSClientFault) {
        ERR_clear_error()
        let result = SSL_do_handshake(ssl)
        if result == 1 {
            isEstablished = true
        } else if SSL_get_error(ssl, result) != SSL_ERROR_WANT_READ {
            throw fault
        }
    }

    /// Reads plaintext.
    package func read(into room: UnsafeMutableRawBufferPointer) throws(TLSClientFault) -> Read {
        ERR_clear_error()
        let count = SSL_read(ssl, room.baseAddress, Int32(clamping: room.count))
        if count > 0 { return .bytes(Int(count)) }
        switch SSL_get_error(ssl, count) {
        case SSL_ERROR_WANT_READ: return .needsMore
        case SSL_ERROR_ZERO_RETURN: return .closed
        default: throw fault
        }
    }

    /// Turns plaintext into output. False if it is to be written once more has been read: the server is in the middle of a
    /// message of its own, such as a ticket.
    package func write(_ bytes: UnsafeRawBufferPointer) throws(TLSClientFault) -> Bool {
        guard let base = bytes.baseAddress, !bytes.isEmpty else { return true }
        ERR_clear_error()
        // The output takes everything.
        let result = SSL_write(ssl, base, Int32(clamping: bytes.count))
        if result > 0, result == bytes.count { return true }
        guard result <= 0, SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ else { throw fault }
        return false
    }

    /// Says that nothing more is sent.
    package func shutDown() {
        _ = SSL_shutdown(ssl)
        ERR_clear_error()
    }

    /// The number of bytes that the server is to get.
    package var outputByteCount: Int { max(0, Int(copenssl_pending(output))) }

    /// Takes bytes that the server is to get. Returns their number.
    package func takeOutput(into room: UnsafeMutableRawBufferPointer) -> Int {
        max(0, Int(BIO_read(output, room.baseAddress, Int32(clamping: room.count))))
    }

    /// The reason of OpenSSL's errors, the first of which says most.
    private var fault: TLSClientFault {
        let verified = SSL_get_verify_result(ssl)
        guard verified == X509_V_OK else {
            ERR_clear_error()
            switch Int32(clamping: verified) {
            case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH: return .otherName(serverName)
            case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
                X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
                X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, X509_V_ERR_CERT_UNTRUSTED:
                return .untrusted
            default:
                let text = X509_verify_cert_error_string(verified).map { String(cString: $0) }
                return .unfitCertificate(text ?? "error \(verified)")
            }
        }
        let error = ERR_peek_error()
        defer { ERR_clear_error() }
        guard error != 0 else { return .truncated }
        switch ERR_GET_LIB(error) == ERR_LIB_SSL ? ERR_GET_REASON(error) : 0 {
        case SSL_R_WRONG_VERSION_NUMBER where !isEstablished, SSL_R_HTTP_REQUEST where !isEstablished: return .notTLS
        case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED: return .asksForCertificate
        default: return .failed(ERR_reason_error_string(error).map { String(cString: $0) } ?? "no reason is known")
        }
    }
}
