import COpenSSL
import Glibc
package import TLSRecords

/// A server's handshake with one client, by OpenSSL, without I/O: records in, bytes out, and, at the end, the records of the
/// connection with the secrets that were agreed on. It takes some 50 KB until it is freed, and with a hello that is not
/// whole up to 96 KB.
///
/// OpenSSL gets one record at a time, so that none of those behind the handshake is read here.
package final class ServerHandshake {
    private let context: TLSContext
    private let ssl: OpaquePointer
    /// What OpenSSL reads and what it writes; they belong to `ssl`.
    private let input: OpaquePointer
    private let output: OpaquePointer

    private var clientSecret: [UInt8] = []
    private var serverSecret: [UInt8] = []
    /// The number of encrypted application records that the last step has written: tickets of TLS 1.3.
    private var sealedCount: UInt64 = 0
    /// Whether this side has changed to its ciphers, and the nonce of what it sent then, its Finished message: TLS 1.2.
    private var hasChangedCipher = false
    private var finishedNonce: [UInt8] = []
    /// Whether the client has changed to its ciphers, and the number of records that it has sent then: TLS 1.2.
    private var clientHasChangedCipher = false
    private var openedCount: UInt64 = 0
    /// The first bytes of the client's message that has begun, and how many they are; or, if they are all there, the number of
    /// those to come.
    private var messageHead: UInt32 = 0
    private var messageHeadByteCount = 0
    private var messageRest = 0
    /// The number of the client's records, and how many it may be: a hello of the size of today's in records of one byte. Each
    /// costs some microseconds.
    private var recordCount = 0
    private static let maximumRecordCount = 2048

    package enum Step: Equatable {
        /// The client's next record is needed.
        case needsMore
        case done
        /// It is over, for this reason; the output has an alert.
        case failed(String)
    }

    package init(_ context: TLSContext) throws(TLSFault) {
        guard let ssl = SSL_new(context.context) else { throw TLSFault(.internalError, lastError()) }
        guard let input = BIO_new(BIO_s_mem()), let output = BIO_new(BIO_s_mem()) else {
            SSL_free(ssl)
            throw TLSFault(.internalError, lastError())
        }
        (self.context, self.ssl, self.input, self.output) = (context, ssl, input, output)
        SSL_set_bio(ssl, input, output)
        SSL_set_accept_state(ssl)
        SSL_set_ex_data(ssl, 0, Unmanaged.passUnretained(self).toOpaque())
    }

    deinit {
        OPENSSL_cleanse(&clientSecret, clientSecret.count)
        OPENSSL_cleanse(&serverSecret, serverSecret.count)
        SSL_free(ssl)
    }

    /// Takes bytes of the client, at most one record, and appends what it is to get to `answer`.
    package func take(_ record: UnsafeRawBufferPointer, answer: inout [UInt8]) -> Step {
        recordCount += 1
        guard recordCount <= Self.maximumRecordCount else {
            answer += [ContentType.alert.rawValue, 3, 3, 0, 2, 2, TLSAlert.illegalParameter.rawValue]
            return .failed("a handshake in more than \(Self.maximumRecordCount) records")
        }
        noteInput(record)
        guard !beginsTooLongHello(record) else {
            answer += [ContentType.alert.rawValue, 3, 3, 0, 2, 2, TLSAlert.illegalParameter.rawValue]
            return .failed("a hello of more than \(ClientHello.maximumByteCount) bytes")
        }
        ERR_clear_error()
        guard let base = record.baseAddress,
            BIO_write(input, base, Int32(clamping: record.count)) == Int32(clamping: record.count)
        else { return .failed("out of memory") }
        let result = SSL_do_handshake(ssl)
        let error = SSL_get_error(ssl, result)
        let reason = result == 1 ? "" : self.reason
        let start = answer.count
        takeOutput(&answer)
        answer.withUnsafeBytes { note(UnsafeRawBufferPointer(rebasing: $0[start...])) }
        if result == 1 { return .done }
        return error == SSL_ERROR_WANT_READ ? .needsMore : .failed(reason)
    }

    /// The reason of OpenSSL's last error; if it is the client's certificate, what is wrong with that.
    private var reason: String {
        let reason = lastError()
        let verified = SSL_get_verify_result(ssl)
        guard verified != X509_V_OK, let text = X509_verify_cert_error_string(verified) else { return reason }
        return "\(reason): \(String(cString: text))"
    }

    private func takeOutput(_ answer: inout [UInt8]) {
        let count = Int(copenssl_pending(output))
        guard count > 0 else { return }
        let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, read in
            read = max(0, Int(BIO_read(output, buffer.baseAddress, Int32(clamping: count))))
        }
        answer += bytes
    }

    /// Notes what a record of the client says about numbers.
    private func noteInput(_ record: UnsafeRawBufferPointer) {
        if clientHasChangedCipher { openedCount += 1 }
        if record.first == ContentType.changeCipherSpec.rawValue { clientHasChangedCipher = true }
    }

    /// Whether a hello begins in a whole record that is too long, be it the first or the second: as soon as its head is there,
    /// OpenSSL makes room for all of it, up to 128 KB.
    private func beginsTooLongHello(_ record: UnsafeRawBufferPointer) -> Bool {
        // The version is the newest until another is agreed on; an older one has no second hello.
        guard RecordHeader.recordByteCount(record) == record.count, record[0] == ContentType.handshake.rawValue,
            SSL_version(ssl) == TLS1_3_VERSION
        else { return false }
        var rest = record[RecordHeader.byteCount...]
        while let byte = rest.first {
            guard messageRest == 0 else {
                let count = min(messageRest, rest.count)
                messageRest -= count
                rest = rest.dropFirst(count)
                continue
            }
            rest = rest.dropFirst()
            messageHead = messageHead << 8 | UInt32(byte)
            messageHeadByteCount += 1
            guard messageHeadByteCount == 4 else { continue }
            messageHeadByteCount = 0
            messageRest = Int(messageHead & 0xFF_FFFF)
            let isHello = UInt8(messageHead >> 24) == ClientHello.type
            if isHello, messageRest > ClientHello.maximumByteCount { return true }
        }
        return false
    }

    /// Notes what the records of a step say about numbers and nonces.
    private func note(_ output: UnsafeRawBufferPointer) {
        sealedCount = 0
        var rest = output
        while let count = RecordHeader.recordByteCount(rest), count <= rest.count {
            switch ContentType(rawValue: rest[0]) {
            case .applicationData: sealedCount += 1
            case .changeCipherSpec: hasChangedCipher = true
            case .handshake where hasChangedCipher && count >= RecordHeader.byteCount + 8:
                finishedNonce = Array(rest[RecordHeader.byteCount..<RecordHeader.byteCount + 8])
            default: break
            }
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    /// Takes a line of OpenSSL's log of keys: a label, the client's random bytes, and a secret in hexadecimal. It goes nowhere
    /// else, and no copy of it is left behind.
    func note(_ line: UnsafePointer<CChar>) {
        let text = UnsafeRawBufferPointer(start: line, count: strlen(line))
        let label = text.prefix { $0 != 0x20 }
        guard let blank = text.lastIndex(of: 0x20), blank > label.endIndex else { return }
        let digits = text[(blank + 1)...]
        if label.elementsEqual("CLIENT_TRAFFIC_SECRET_0".utf8) {
            replace(&clientSecret, digits)
        } else if label.elementsEqual("SERVER_TRAFFIC_SECRET_0".utf8) {
            replace(&serverSecret, digits)
        }
    }

    private func replace(_ secret: inout [UInt8], _ digits: Slice<UnsafeRawBufferPointer>) {
        OPENSSL_cleanse(&secret, secret.count)
        secret = [UInt8](unsafeUninitializedCapacity: digits.count / 2) { bytes, count in
            for digit in digits.prefix(digits.count & ~1) {
                // "0" to "9", "a" to "f", as OpenSSL writes them.
                let value = digit & 0x40 == 0 ? digit & 0xF : digit & 0xF + 9
                bytes[count / 2] = count % 2 == 0 ? value << 4 : bytes[count / 2] | value
                count += 1
            }
            count /= 2
        }
    }

    /// Whom the client's certificate names, once the handshake is done; nil if it has shown none.
    package var clientCertificate: ClientCertificate? {
        guard let clients = context.clients, let certificate = SSL_get1_peer_certificate(ssl) else { return nil }
        defer { X509_free(certificate) }
        return ClientCertificate(certificate, user: clients.user)
    }

    /// Makes the records of the connection, once the handshake is done; OpenSSL has no part in them. The caller overwrites the
    /// stack below it.
    @inline(never)
    package func makeRecords(_ records: inout RecordLayer) throws(TLSFault) { records = try self.records() }

    private func records() throws(TLSFault) -> RecordLayer {
        var records = try recordsOfSecrets()
        if let session = SSL_get_session(ssl) {
            records.limitContent(code: SSL_SESSION_get_max_fragment_length(session))
        }
        return records
    }

    private func recordsOfSecrets() throws(TLSFault) -> RecordLayer {
        guard SSL_is_init_finished(ssl) == 1, SSL_has_pending(ssl) == 0, copenssl_pending(input) == 0,
            let cipher = SSL_get_current_cipher(ssl),
            let suite = CipherSuite(number: SSL_CIPHER_get_protocol_id(cipher)),
            SSL_version(ssl) == (suite.version == .tls13 ? TLS1_3_VERSION : TLS1_2_VERSION)
        else { throw TLSFault(.internalError, "a handshake whose secrets can't be taken over") }
        if suite.version == .tls12 { return try recordsOfTLS12(suite) }
        return try RecordLayer(suite, secretToOpen: clientSecret, secretToSeal: serverSecret, sealedCount: sealedCount)
    }

    private func recordsOfTLS12(_ suite: CipherSuite) throws(TLSFault) -> RecordLayer {
        var secret = [UInt8](repeating: 0, count: 48)
        defer { OPENSSL_cleanse(&secret, secret.count) }
        var clientRandom = [UInt8](repeating: 0, count: 32)
        var serverRandom = clientRandom
        guard let session = SSL_get_session(ssl), SSL_SESSION_get_master_key(session, &secret, secret.count) == 48,
            SSL_get_client_random(ssl, &clientRandom, 32) == 32, SSL_get_server_random(ssl, &serverRandom, 32) == 32
        else { throw TLSFault(.internalError, "a handshake without a master secret") }
        var block = try KeySchedule.expandTLS12(
            secret, label: "key expansion", seed: serverRandom + clientRandom, byteCount: suite.keyBlockByteCount,
            usesSHA384: suite.usesSHA384)
        defer { OPENSSL_cleanse(&block, block.count) }
        return try RecordLayer(
            suite, keyBlock: block, openedCount: openedCount,
            finishedNonce: suite.explicitNonceByteCount > 0 ? finishedNonce : [])
    }
}
