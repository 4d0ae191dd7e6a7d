import COpenSSL
import Glibc
import TLSHandshake
import TLSRecords

/// A client by OpenSSL alone: the model that the handshake and the records are compared with.
final class OpenSSLClient {
    private let context: OpaquePointer
    let ssl: OpaquePointer
    private let input = BIO_new(BIO_s_mem())
    private let output = BIO_new(BIO_s_mem())

    struct Options {
        var suite: String?
        var version: TLSVersion?
        var host: String?
        var protocols: [String] = []
        var session: OpaquePointer?
        /// The number of the largest content of a record that it takes (RFC 6066, section 4).
        var contentLimit: UInt8?
    }

    init(_ options: Options = Options()) throws {
        let context = SSL_CTX_new(TLS_client_method())
        guard let context else { throw Failure(text: "no context") }
        self.context = context
        switch options.version {
        case .tls12: _ = copenssl_set_maximum_version(context, TLS1_2_VERSION)
        case .tls13: _ = copenssl_set_minimum_version(context, TLS1_3_VERSION)
        case nil: break
        }
        if let suite = options.suite {
            if suite.hasPrefix("TLS_") {
                SSL_CTX_set_ciphersuites(context, suite)
            } else {
                SSL_CTX_set_cipher_list(context, suite)
            }
        }
        guard let ssl = SSL_new(context) else { throw Failure(text: "no SSL") }
        self.ssl = ssl
        SSL_set_bio(ssl, input, output)
        SSL_set_connect_state(ssl)
        _ = options.host?.withCString {
            SSL_ctrl(ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, 0, UnsafeMutableRawPointer(mutating: $0))
        }
        if !options.protocols.isEmpty {
            let list = options.protocols.flatMap { [UInt8($0.utf8.count)] + $0.utf8 }
            SSL_set_alpn_protos(ssl, list, UInt32(list.count))
        }
        if let session = options.session { SSL_set_session(ssl, session) }
        if let limit = options.contentLimit { SSL_set_tlsext_max_fragment_length(ssl, limit) }
    }

    deinit {
        SSL_free(ssl)
        SSL_CTX_free(context)
    }

    struct Failure: Error { var text: String }

    /// What it wants to send.
    func takeOutput() -> [UInt8] {
        let count = Int(copenssl_pending(output!))
        guard count > 0 else { return [] }
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, read in
            read = max(0, Int(BIO_read(output, buffer.baseAddress, Int32(count))))
        }
    }

    func receive(_ bytes: [UInt8]) { if !bytes.isEmpty { BIO_write(input, bytes, Int32(bytes.count)) } }

    func handshake() { SSL_do_handshake(ssl) }

    func write(_ bytes: [UInt8]) { SSL_write(ssl, bytes, Int32(bytes.count)) }

    func read() -> [UInt8] {
        var all: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 20_000)
        while case let count = SSL_read(ssl, &buffer, Int32(buffer.count)), count > 0 { all += buffer[..<Int(count)] }
        return all
    }

    func updateKeys(wantsAnswer: Bool) {
        SSL_key_update(ssl, wantsAnswer ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED)
    }

    var hasClosed: Bool { SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN != 0 }
    var isResumed: Bool { SSL_session_reused(ssl) == 1 }

    /// The name of the server's key, such as "RSA" and "EC".
    var serverKeyKind: String? {
        guard let certificate = SSL_get1_peer_certificate(ssl) else { return nil }
        defer { X509_free(certificate) }
        return X509_get0_pubkey(certificate).flatMap { EVP_PKEY_get0_type_name($0) }.map { String(cString: $0) }
    }

    func isShown(_ host: String) -> Bool {
        guard let certificate = SSL_get1_peer_certificate(ssl) else { return false }
        defer { X509_free(certificate) }
        return X509_check_host(certificate, host, 0, 0, nil) == 1
    }
}

/// A client that is connected with a server.
final class Conversation {
    let client: OpenSSLClient
    var server = RecordLayer()
    let ciphers = RecordCiphers()

    /// Does the whole handshake. What the client sends behind it is left for `received`.
    init(_ context: TLSContext, _ options: OpenSSLClient.Options = .init(), early: [UInt8] = []) throws {
        client = try OpenSSLClient(options)
        let handshake = try ServerHandshake(context)
        var pending: [UInt8] = []
        var early = early
        while true {
            client.handshake()
            if SSL_is_init_finished(client.ssl) == 1, !early.isEmpty {
                client.write(early)
                early = []
            }
            pending += client.takeOutput()
            guard let count = pending.withUnsafeBytes({ RecordHeader.recordByteCount($0) }), count <= pending.count
            else {
                throw OpenSSLClient.Failure(text: "the client sends nothing")
            }
            var answer: [UInt8] = []
            let step = pending[..<count].withUnsafeBytes { handshake.take($0, answer: &answer) }
            pending.removeFirst(count)
            client.receive(answer)
            switch step {
            case .needsMore: continue
            case .failed(let reason): throw OpenSSLClient.Failure(text: reason)
            case .done: break
            }
            client.handshake()
            try handshake.makeRecords(&server)
            received = pending + client.takeOutput()
            return
        }
    }

    /// What the client has sent and the server not opened.
    var received: [UInt8] = []

    /// Opens what the client has sent; nil if it has closed.
    func open() throws(TLSFault) -> [UInt8]? {
        let records = received + client.takeOutput()
        received = []
        return try server.opened(records, ciphers)
    }

    /// Seals bytes and gives them to the client.
    func send(_ bytes: [UInt8]) throws { client.receive(try server.sealed([bytes], ciphers)) }

    func close() throws { client.receive(try server.sealed(.closeNotify, ciphers)) }
}
