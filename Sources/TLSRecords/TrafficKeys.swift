import COpenSSL

/// The key material of one direction of a connection, and the number of its next record.
///
/// Each number is given away once, as a `Nonce`, which can't be copied: no two records have the same key and nonce.
///
/// The compiler passes a value that is only read, such as `self` of a method that changes nothing, by copying it to the stack,
/// where it stays: what needs a part of this type or of one that contains it is given that part, as are static methods.
struct TrafficKeys: ~Copyable {
    /// The number of the next record. It stands first, so that there is room behind the keys for what comes next.
    var sequence: UInt64
    /// The traffic secret of TLS 1.3, of which the hash's size is used; zeros in TLS 1.2.
    private(set) var secret = InlineArray<48, UInt8>(repeating: 0)
    private(set) var key = InlineArray<32, UInt8>(repeating: 0)
    private(set) var iv = InlineArray<12, UInt8>(repeating: 0)
    /// The suite that they are for.
    private(set) var suite: CipherSuite

    /// The nonce of one record.
    struct Nonce: ~Copyable {
        fileprivate(set) var bytes: InlineArray<12, UInt8>
        /// The record's number, which TLS 1.2 authenticates.
        let sequence: UInt64
    }

    /// No keys, and no number to use them with.
    init() {
        suite = CipherSuite(.tls13, .aes128GCM)
        sequence = .max
    }

    /// The keys that follow from a traffic secret of TLS 1.3.
    init(_ suite: CipherSuite, secret bytes: [UInt8], sequence: UInt64) throws(TLSFault) {
        self.init()
        guard bytes.count == suite.hashByteCount else { throw TLSFault(.internalError, "a secret of the wrong size") }
        self.suite = suite
        self.sequence = sequence
        for (index, byte) in bytes.enumerated() { secret[index] = byte }
        try derive()
    }

    /// Keys as they are: those of TLS 1.2.
    init(_ suite: CipherSuite, key keyBytes: [UInt8], iv ivBytes: [UInt8], sequence: UInt64) throws(TLSFault) {
        self.init()
        guard keyBytes.count <= 32, ivBytes.count <= 12 else {
            throw TLSFault(.internalError, "a key that is too long")
        }
        self.suite = suite
        self.sequence = sequence
        for (index, byte) in keyBytes.enumerated() { key[index] = byte }
        for (index, byte) in ivBytes.enumerated() { iv[index] = byte }
    }

    /// Keys as another process had them, each part of its whole size.
    init(
        _ suite: CipherSuite, secret secretBytes: UnsafeRawBufferPointer, key keyBytes: UnsafeRawBufferPointer,
        iv ivBytes: UnsafeRawBufferPointer, sequence: UInt64
    ) {
        self.init()
        self.suite = suite
        self.sequence = sequence
        for (index, byte) in secretBytes.prefix(48).enumerated() { secret[index] = byte }
        for (index, byte) in keyBytes.prefix(32).enumerated() { key[index] = byte }
        for (index, byte) in ivBytes.prefix(12).enumerated() { iv[index] = byte }
    }

    /// Derives the key and the IV from the secret (RFC 8446, section 7.3).
    private mutating func derive() throws(TLSFault) {
        try expand("key", suite, from: &secret, into: &key, byteCount: suite.cipher.keyByteCount)
        try expand("iv", suite, from: &secret, into: &iv, byteCount: 12)
    }

    /// Goes on to the next generation of keys (RFC 8446, section 7.2). If that fails, no record has a number any more: the old
    /// keys are not used again.
    mutating func update() throws(TLSFault) {
        sequence = .max
        var next = InlineArray<48, UInt8>(repeating: 0)
        try expand("traffic upd", suite, from: &secret, into: &next, byteCount: suite.hashByteCount)
        secret = next
        withUnsafeMutableBytes(of: &next) { OPENSSL_cleanse($0.baseAddress, $0.count) }
        try derive()
        sequence = 0
    }

    /// Gives away the next number.
    mutating func takeNonce() throws(TLSFault) -> Nonce {
        guard sequence < UInt64.max else { throw TLSFault(.internalError, "no number is left for a record") }
        let nonce = TrafficKeys.nonce(iv, sequence)
        sequence += 1
        return nonce
    }

    /// The IV with a number at its end, by exclusive or (RFC 8446, section 5.3).
    private static func nonce(_ iv: InlineArray<12, UInt8>, _ number: UInt64) -> Nonce {
        var bytes = iv
        for index in 0..<8 { bytes[4 + index] ^= UInt8(truncatingIfNeeded: number >> UInt64(8 * (7 - index))) }
        return Nonce(bytes: bytes, sequence: number)
    }

    /// Gives away the next number for opening a record, with the part of the nonce that stands in the record, if there is
    /// one: it replaces the end.
    mutating func takeNonce(explicit: UnsafeRawBufferPointer) throws(TLSFault) -> Nonce {
        var nonce = try takeNonce()
        for (index, byte) in explicit.prefix(8).enumerated() { nonce.bytes[4 + index] = byte }
        return nonce
    }

    /// Sets a context of OpenSSL to the key and a nonce.
    mutating func set(_ context: OpaquePointer, _ nonce: borrowing Nonce) throws(TLSFault) {
        let iv = nonce.bytes
        let result = withUnsafeBytes(of: &key) { key in
            withUnsafeBytes(of: iv) { iv in
                EVP_CipherInit_ex(
                    context, nil, nil, key.baseAddress?.assumingMemoryBound(to: UInt8.self),
                    iv.baseAddress?.assumingMemoryBound(to: UInt8.self), -1)
            }
        }
        guard result == 1 else { throw .cipher }
    }

    /// Overwrites what is secret. Nothing can be sealed or opened after that.
    mutating func wipe() {
        withUnsafeMutableBytes(of: &secret) { OPENSSL_cleanse($0.baseAddress, $0.count) }
        withUnsafeMutableBytes(of: &key) { OPENSSL_cleanse($0.baseAddress, $0.count) }
        withUnsafeMutableBytes(of: &iv) { OPENSSL_cleanse($0.baseAddress, $0.count) }
        sequence = .max
    }
}

/// Overwrites what calls have left on the thread's stack below the frame of the caller: keys that were moved there.
@inline(never)
package func wipeStack() { copenssl_wipe_stack() }

/// Derives bytes from a secret with a label.
private func expand<let count: Int, let size: Int>(
    _ label: StaticString, _ suite: CipherSuite, from secret: inout InlineArray<count, UInt8>,
    into output: inout InlineArray<size, UInt8>, byteCount: Int
) throws(TLSFault) {
    var fault: TLSFault?
    withUnsafeBytes(of: &secret) { secret in
        withUnsafeMutableBytes(of: &output) { output in
            do throws(TLSFault) {
                try KeySchedule.expand(
                    UnsafeRawBufferPointer(rebasing: secret[..<suite.hashByteCount]), label,
                    into: UnsafeMutableRawBufferPointer(rebasing: output[..<byteCount]), usesSHA384: suite.usesSHA384)
            } catch { fault = error }
        }
    }
    if let fault { throw fault }
}
