import COpenSSL
import Glibc

/// Seals the records that a connection sends. It owns their numbers, each of which it uses once, and can't be copied.
///
/// Records that it has given away are sent in that order, or the connection ends: nothing is ever sealed a second time.
package struct RecordSealer: ~Copyable {
    var keys: TrafficKeys
    /// The largest content of a record, as a power of two: less than others take, if the peer has asked for it (RFC 6066,
    /// section 4).
    var contentExponent = RecordHeader.contentExponents.upperBound

    /// The number of records after which new keys are due: AES-GCM holds for 2^24.5 full ones (RFC 8446, section 5.5).
    static let recordLimit: UInt64 = 1 << 23
    /// The number of records after which a connection of TLS 1.2 ends, which can't change its keys. Such records are small:
    /// nobody sends 2^32 full ones over a WebSocket.
    static let lastRecord: UInt64 = 1 << 32

    init(_ keys: consuming TrafficKeys) { self.keys = keys }

    var suite: CipherSuite { keys.suite }

    /// Whether new keys are due.
    var needsUpdate: Bool { suite.version == .tls13 && keys.sequence >= RecordSealer.recordLimit }

    /// Seals pieces as the content of one record after the other, as few as they fit in. Returns the size of the records.
    ///
    /// - Parameter output: at least `CipherSuite.sealedByteCount` bytes that overlap with no piece.
    mutating func seal(
        _ type: ContentType, _ pieces: UnsafeBufferPointer<iovec>, into output: UnsafeMutableRawBufferPointer,
        with ciphers: RecordCiphers
    ) throws(TLSFault) -> Int {
        var rest = pieces.reduce(0) { $0 + $1.iov_len }
        let most = 1 << Int(contentExponent)
        guard suite.sealedByteCount(of: rest, inRecordsOf: most) <= output.count, let base = output.baseAddress else {
            throw TLSFault(.internalError, "no room for a sealed record")
        }
        let context = try ciphers.context(suite.cipher, seals: true)
        var (index, offset, written) = (0, 0, 0)
        while rest > 0 {
            let count = min(rest, most)
            rest -= count
            let record = base + written
            try begin(record, type, contentByteCount: count, context)
            var position = RecordHeader.byteCount + suite.explicitNonceByteCount
            var left = count
            while left > 0, index < pieces.count {
                let part = min(left, pieces[index].iov_len - offset)
                if part > 0, let source = pieces[index].iov_base {
                    try update(context, record + position, from: source + offset, count: part)
                }
                position += part
                left -= part
                offset += part
                if offset == pieces[index].iov_len { (index, offset) = (index + 1, 0) }
            }
            if suite.version == .tls13 {
                var inner = type.rawValue
                try update(context, record + position, from: &inner, count: 1)
                position += 1
            }
            try finish(context, record + position)
            written += position + RecordHeader.tagByteCount
        }
        return written
    }

    /// Writes what stands before a record's content, and sets the context to its key and nonce.
    private mutating func begin(
        _ record: UnsafeMutableRawPointer, _ type: ContentType, contentByteCount: Int, _ context: OpaquePointer
    ) throws(TLSFault) {
        guard suite.version == .tls13 || keys.sequence < RecordSealer.lastRecord else {
            throw TLSFault(.closeNotify, "the keys are used up, and TLS 1.2 can't change them")
        }
        let nonce = try keys.takeNonce()
        let header = record.assumingMemoryBound(to: UInt8.self)
        let body = contentByteCount + suite.overhead - RecordHeader.byteCount
        header[0] = suite.version == .tls13 ? ContentType.applicationData.rawValue : type.rawValue
        (header[1], header[2]) = (3, 3)
        header[3] = UInt8(truncatingIfNeeded: body >> 8)
        header[4] = UInt8(truncatingIfNeeded: body)
        for index in 0..<suite.explicitNonceByteCount {
            header[RecordHeader.byteCount + index] = nonce.bytes[4 + index]
        }
        try keys.set(context, nonce)
        if suite.version == .tls13 {
            try update(context, nil, from: record, count: RecordHeader.byteCount)
        } else {
            try additionalData(type.rawValue, contentByteCount: contentByteCount, nonce.sequence, context)
        }
    }

    private func finish(_ context: OpaquePointer, _ tag: UnsafeMutableRawPointer) throws(TLSFault) {
        var none: Int32 = 0
        var unused: UInt8 = 0
        guard EVP_EncryptFinal_ex(context, &unused, &none) == 1,
            EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(RecordHeader.tagByteCount), tag) == 1
        else { throw .cipher }
    }
}

/// Passes bytes through a context; the output is nil for those that are only authenticated.
func update(
    _ context: OpaquePointer, _ output: UnsafeMutableRawPointer?, from input: UnsafeRawPointer, count: Int
) throws(TLSFault) {
    var written: Int32 = 0
    let result = EVP_CipherUpdate(
        context, output?.assumingMemoryBound(to: UInt8.self), &written, input.assumingMemoryBound(to: UInt8.self),
        Int32(truncatingIfNeeded: count))
    guard result == 1, Int(written) == count else { throw .cipher }
}

/// Authenticates what TLS 1.2 does of a record: its number, type, version and the size of its content (RFC 5246, section
/// 6.2.3.3).
func additionalData(
    _ type: UInt8, contentByteCount: Int, _ sequence: UInt64, _ context: OpaquePointer
) throws(TLSFault) {
    var data = InlineArray<13, UInt8>(repeating: 3)
    for index in 0..<8 { data[index] = UInt8(truncatingIfNeeded: sequence >> UInt64(8 * (7 - index))) }
    data[8] = type
    data[11] = UInt8(truncatingIfNeeded: contentByteCount >> 8)
    data[12] = UInt8(truncatingIfNeeded: contentByteCount)
    var fault: TLSFault?
    withUnsafeBytes(of: &data) { data in
        guard let base = data.baseAddress else { return }
        do throws(TLSFault) { try update(context, nil, from: base, count: data.count) } catch { fault = error }
    }
    if let fault { throw fault }
}
