import COpenSSL

/// Opens the records that a connection receives, in their order: the first that doesn't open is the last.
package struct RecordOpener: ~Copyable {
    var keys: TrafficKeys

    /// What was in a record.
    struct Content {
        var type: ContentType
        /// Its place within the record.
        var bytes: UnsafeMutableRawBufferPointer
    }

    init(_ keys: consuming TrafficKeys) { self.keys = keys }

    var suite: CipherSuite { keys.suite }

    /// Opens one whole record in its place.
    mutating func open(
        _ record: UnsafeMutableRawBufferPointer, with ciphers: RecordCiphers
    ) throws(TLSFault) -> Content {
        guard record.count >= RecordHeader.byteCount, let base = record.baseAddress else {
            throw TLSFault(.decodeError, "a record without a header")
        }
        let body = record.count - RecordHeader.byteCount
        guard body <= RecordHeader.maximumBodyByteCount else {
            throw TLSFault(.recordOverflow, "a record of \(body) bytes")
        }
        if suite.version == .tls13 {
            guard record[0] == ContentType.applicationData.rawValue else {
                throw TLSFault(.unexpectedMessage, "a record of type \(record[0]), which is not encrypted")
            }
        } else {
            guard record[1] == 3, record[2] == 3 else {
                throw TLSFault(.protocolVersion, "a record of version \(record[1]).\(record[2])")
            }
        }
        let start = RecordHeader.byteCount + suite.explicitNonceByteCount
        let count = record.count - start - RecordHeader.tagByteCount
        guard count >= 0 else { throw TLSFault(.badRecordMAC, "a record that is too short") }
        guard count <= RecordHeader.maximumContentByteCount + (suite.version == .tls13 ? 1 : 0) else {
            throw TLSFault(.recordOverflow, "a record with a content of \(count) bytes")
        }
        let context = try ciphers.context(suite.cipher, seals: false)
        let explicit = UnsafeRawBufferPointer(rebasing: record[RecordHeader.byteCount..<start])
        let nonce = try keys.takeNonce(explicit: explicit)
        try keys.set(context, nonce)
        if suite.version == .tls13 {
            try update(context, nil, from: base, count: RecordHeader.byteCount)
        } else {
            try additionalData(record[0], contentByteCount: count, nonce.sequence, context)
        }
        if count > 0 { try update(context, base + start, from: base + start, count: count) }
        var none: Int32 = 0
        var unused: UInt8 = 0
        guard
            EVP_CIPHER_CTX_ctrl(
                context, EVP_CTRL_AEAD_SET_TAG, Int32(RecordHeader.tagByteCount), base + start + count) == 1,
            EVP_CipherFinal_ex(context, &unused, &none) == 1
        else {
            ERR_clear_error()
            throw TLSFault(.badRecordMAC, "a record that does not open")
        }
        let bytes = UnsafeMutableRawBufferPointer(rebasing: record[start..<(start + count)])
        return try suite.version == .tls13 ? withoutPadding(bytes) : Content(type: type(record[0]), bytes: bytes)
    }

    /// The content of a record of TLS 1.3: what stands before the last byte that is not zero, which is its type (RFC 8446,
    /// section 5.4).
    private func withoutPadding(_ bytes: UnsafeMutableRawBufferPointer) throws(TLSFault) -> Content {
        guard let end = bytes.lastIndex(where: { $0 != 0 }) else {
            throw TLSFault(.unexpectedMessage, "a record that has only padding")
        }
        return Content(type: try type(bytes[end]), bytes: UnsafeMutableRawBufferPointer(rebasing: bytes[..<end]))
    }

    private func type(_ number: UInt8) throws(TLSFault) -> ContentType {
        guard let type = ContentType(rawValue: number) else {
            throw TLSFault(.unexpectedMessage, "a record of type \(number)")
        }
        return type
    }
}
