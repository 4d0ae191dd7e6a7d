import COpenSSL
package import TLSRecords

/// Everything that handshakes have in common: certificates, versions, ciphers, and the keys of tickets. It never changes; a
/// reload makes another. All workers use it at once.
///
/// `@unchecked Sendable` because OpenSSL allows an SSL_CTX in many threads once it is set up.
package final class TLSContext: @unchecked Sendable {
    package let certificates: [ServerCertificate]
    package let minimumVersion: TLSVersion
    /// The keys of its tickets.
    package let tickets: TicketKeys
    /// What the certificates of clients are verified by; nil if they are not asked for any.
    let clients: ClientVerification?
    let context: OpaquePointer

    /// Mozilla's intermediate profile (5.8), without the suites of finite fields.
    private static let suites = [
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
    ].joined(separator: ":")
    private static let suites13 = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
    /// OpenSSL refuses a whole list for one name that it doesn't know, and 3.0 doesn't know the first.
    private static let groups = ["X25519MLKEM768:X25519:P-256:P-384", "X25519:P-256:P-384"]
    /// The name of what the tickets are for, so that those of another service of this machine are not taken.
    private static let sessionContext = Array("wsd".utf8)
    /// The time for which a session can be resumed, in seconds.
    private static let sessionLifetime = 7200

    /// - Parameter certificates: at least one; the first is for clients that name no host, or another.
    package init(
        _ certificates: [ServerCertificate], minimumVersion: TLSVersion = .tls12, tickets: TicketKeys,
        clients: ClientVerification? = nil
    ) throws(TLSFault) {
        guard let context = SSL_CTX_new(TLS_server_method()) else {
            throw TLSFault(.internalError, "OpenSSL makes no context: \(lastError())")
        }
        self.context = context
        self.certificates = certificates
        self.minimumVersion = minimumVersion
        self.tickets = tickets
        self.clients = clients
        let isSet =
            copenssl_set_minimum_version(context, minimumVersion == .tls13 ? TLS1_3_VERSION : TLS1_2_VERSION) == 1
            && copenssl_set_maximum_version(context, TLS1_3_VERSION) == 1
            && SSL_CTX_set_cipher_list(context, TLSContext.suites) == 1
            && SSL_CTX_set_ciphersuites(context, TLSContext.suites13) == 1
            && TLSContext.groups.contains { copenssl_set_groups(context, $0) == 1 }
            && SSL_CTX_set_session_id_context(
                context, TLSContext.sessionContext, UInt32(TLSContext.sessionContext.count)) == 1
            && SSL_CTX_set_num_tickets(context, 1) == 1
        ERR_clear_error()
        guard isSet else { throw TLSFault(.internalError, "OpenSSL does not take the ciphers of this program") }
        copenssl_set_options(context)
        copenssl_set_mode(context, Int(SSL_MODE_RELEASE_BUFFERS))
        copenssl_turn_session_cache_off(context)
        SSL_CTX_set_timeout(context, TLSContext.sessionLifetime)
        SSL_CTX_set_quiet_shutdown(context, 1)
        if let clients, !clients.apply(to: context) {
            throw TLSFault(.internalError, "OpenSSL does not take the authorities of clients: \(lastError())")
        }
        try tryCertificates()
        for certificate in TLSContext.firstOfEachKind(defaults) {
            guard SSL_CTX_use_cert_and_key(context, certificate.certificate, certificate.key, certificate.chain, 1) == 1
            else { throw TLSFault(.internalError, "OpenSSL does not take a certificate: \(lastError())") }
        }
        setCallbacks()
    }

    deinit { SSL_CTX_free(context) }

    /// Tries every certificate as a handshake will, which could only fail.
    private func tryCertificates() throws(TLSFault) {
        guard let ssl = SSL_new(context) else {
            throw TLSFault(.internalError, "OpenSSL makes no connection: \(lastError())")
        }
        defer { SSL_free(ssl) }
        for (index, certificate) in certificates.enumerated() {
            SSL_certs_clear(ssl)
            guard SSL_use_cert_and_key(ssl, certificate.certificate, certificate.key, certificate.chain, 1) == 1 else {
                let names = certificate.allNames.joined(separator: ", ")
                throw TLSFault(
                    .internalError, "OpenSSL does not take the certificate \(index + 1), for \(names): \(lastError())")
            }
        }
    }

    /// The certificates for clients that name no host: the first, and others for the same hosts with keys of other kinds.
    private var defaults: [ServerCertificate] {
        guard let first = certificates.first else { return [] }
        let names = Set(first.allNames)
        return certificates.filter { $0 === first || !names.isEmpty && Set($0.allNames) == names }
    }

    private static func firstOfEachKind(_ certificates: [ServerCertificate]) -> [ServerCertificate] {
        var kinds: Set<String> = []
        return certificates.filter { kinds.insert($0.keyKind).inserted }
    }

    /// The certificates for a host: the first of each kind of key; empty if there is none for it.
    func certificates(for host: String) -> [ServerCertificate] {
        let host = host.lowercased()
        return TLSContext.firstOfEachKind(certificates.filter { $0.isFor(host) })
    }

    /// The callbacks find this object by the context's data. It outlives them: whoever has an `SSL` of the context keeps it.
    private func setCallbacks() {
        SSL_CTX_set_ex_data(context, 0, Unmanaged.passUnretained(self).toOpaque())
        SSL_CTX_set_cert_cb(
            context,
            { ssl, _ in
                guard let ssl, let owner = TLSContext.owner(of: ssl),
                    let name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)
                else { return 1 }
                let found = owner.certificates(for: String(cString: name))
                guard !found.isEmpty else { return 1 }
                SSL_certs_clear(ssl)
                let areSet = found.allSatisfy { SSL_use_cert_and_key(ssl, $0.certificate, $0.key, $0.chain, 1) == 1 }
                return areSet ? 1 : 0
            }, nil)
        SSL_CTX_set_alpn_select_cb(
            context,
            { _, chosen, chosenCount, offered, count, _ in
                guard let chosen, let chosenCount, let offered else { return SSL_TLSEXT_ERR_ALERT_FATAL }
                let name = Array("http/1.1".utf8)
                var position = 0
                while position < Int(count) {
                    let length = Int(offered[position])
                    guard position + 1 + length <= Int(count) else { break }
                    if UnsafeBufferPointer(start: offered + position + 1, count: length).elementsEqual(name) {
                        chosen.pointee = offered + position + 1
                        chosenCount.pointee = UInt8(name.count)
                        return SSL_TLSEXT_ERR_OK
                    }
                    position += 1 + length
                }
                return SSL_TLSEXT_ERR_ALERT_FATAL
            }, nil)
        SSL_CTX_set_keylog_callback(context) { ssl, line in
            guard let ssl, let line, let data = SSL_get_ex_data(ssl, 0) else { return }
            Unmanaged<ServerHandshake>.fromOpaque(data).takeUnretainedValue().note(line)
        }
        SSL_CTX_set_tlsext_ticket_key_evp_cb(context) { ssl, name, iv, cipher, mac, seals in
            guard let ssl, let name, let iv, let cipher, let mac, let owner = TLSContext.owner(of: ssl) else {
                return -1
            }
            return owner.tickets.use(name, iv, cipher, mac, seals: seals == 1)
        }
    }

    private static func owner(of ssl: OpaquePointer) -> TLSContext? {
        SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), 0).map { Unmanaged<TLSContext>.fromOpaque($0).takeUnretainedValue() }
    }
}

/// The reason of OpenSSL's last error in this thread, which is then forgotten.
func lastError() -> String {
    defer { ERR_clear_error() }
    return ERR_reason_error_string(ERR_peek_last_error()).map { String(cString: $0) } ?? "no reason is known"
}

/// Makes OpenSSL overwrite the memory that it frees. By itself it leaves the secrets of each handshake there, for SSL_free frees
/// them as they are: measured with OpenSSL 3.0, in test_tls_secrets.py. It takes this only before it has allocated anything, so
/// a program calls this at its start, before a library may use OpenSSL.
package func wipeFreedMemory() { _ = wipesFreedMemory }

private let wipesFreedMemory = copenssl_wipe_freed_memory() == 1
