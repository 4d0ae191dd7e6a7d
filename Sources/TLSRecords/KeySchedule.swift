import COpenSSL

/// The derivations of secrets and keys that follow a handshake. Each needs one HMAC or a few, because nothing that is derived
/// is longer than a hash in TLS 1.3.
package enum KeySchedule {
    /// HKDF-Expand-Label (RFC 8446, section 7.1) with an empty context.
    ///
    /// - Parameter output: at most as long as the hash.
    static func expand(
        _ secret: UnsafeRawBufferPointer, _ label: StaticString, into output: UnsafeMutableRawBufferPointer,
        usesSHA384: Bool
    ) throws(TLSFault) {
        // HkdfLabel: the length, "tls13 " and the label, no context; then the number of the first block.
        var info: [UInt8] = [0, UInt8(truncatingIfNeeded: output.count), UInt8(6 + label.utf8CodeUnitCount)]
        info += "tls13 ".utf8
        info += UnsafeBufferPointer(start: label.utf8Start, count: label.utf8CodeUnitCount)
        info += [0, 1]
        try hmac(secret, info, usesSHA384: usesSHA384) { output.copyMemory(from: .init(rebasing: $0[..<output.count])) }
    }

    /// The pseudorandom function of TLS 1.2 (RFC 5246, section 5).
    package static func expandTLS12(
        _ secret: [UInt8], label: StaticString, seed: [UInt8], byteCount: Int, usesSHA384: Bool
    ) throws(TLSFault) -> [UInt8] {
        let seed = Array(UnsafeBufferPointer(start: label.utf8Start, count: label.utf8CodeUnitCount)) + seed
        let hashByteCount = usesSHA384 ? 48 : 32
        var chain = seed
        var output: [UInt8] = []
        // It never moves, which would leave a copy.
        output.reserveCapacity(byteCount + hashByteCount)
        while output.count < byteCount {
            try hmac(secret, chain, usesSHA384: usesSHA384) { chain = Array($0) }
            try hmac(secret, chain + seed, usesSHA384: usesSHA384) { output += $0 }
        }
        output.withUnsafeMutableBytes { OPENSSL_cleanse($0.baseAddress.map { $0 + byteCount }, $0.count - byteCount) }
        output.removeLast(output.count - byteCount)
        return output
    }

    private static func hmac(
        _ key: [UInt8], _ text: [UInt8], usesSHA384: Bool, _ use: (UnsafeRawBufferPointer) -> Void
    ) throws(TLSFault) {
        var fault: TLSFault?
        key.withUnsafeBytes { key in
            do throws(TLSFault) { try hmac(key, text, usesSHA384: usesSHA384, use) } catch { fault = error }
        }
        if let fault { throw fault }
    }

    private static func hmac(
        _ key: UnsafeRawBufferPointer, _ text: [UInt8], usesSHA384: Bool, _ use: (UnsafeRawBufferPointer) -> Void
    ) throws(TLSFault) {
        var code = InlineArray<64, UInt8>(repeating: 0)
        var count: UInt32 = 0
        let isDone = withUnsafeMutableBytes(of: &code) { code in
            defer { OPENSSL_cleanse(code.baseAddress, code.count) }
            let start = code.baseAddress?.assumingMemoryBound(to: UInt8.self)
            let result = HMAC(
                usesSHA384 ? EVP_sha384() : EVP_sha256(), key.baseAddress, Int32(truncatingIfNeeded: key.count), text,
                text.count, start, &count)
            guard result != nil, count >= 32 else { return false }
            use(UnsafeRawBufferPointer(rebasing: code[..<Int(count)]))
            return true
        }
        guard isDone else { throw TLSFault(.internalError, "a hash of OpenSSL failed") }
    }
}
