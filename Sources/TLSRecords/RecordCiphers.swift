import COpenSSL

/// OpenSSL's contexts for sealing and opening records, one for each cipher and direction. They serve all connections of a
/// thread, one record after the other: setting a key takes some 200 nanoseconds, and a context of its own would cost each
/// connection 1,170 bytes.
///
/// Only one thread uses it.
package final class RecordCiphers {
    /// By cipher, first those for sealing.
    private var contexts: [OpaquePointer?] = Array(repeating: nil, count: 2 * RecordCipher.allCases.count)

    package init() {}

    deinit {
        for context in contexts { EVP_CIPHER_CTX_free(context) }
    }

    /// The context for a cipher and a direction.
    func context(_ cipher: RecordCipher, seals: Bool) throws(TLSFault) -> OpaquePointer {
        let index = Int(cipher.rawValue) + (seals ? 0 : RecordCipher.allCases.count)
        if let context = contexts[index] { return context }
        let algorithm =
            switch cipher {
            case .aes128GCM: EVP_aes_128_gcm()
            case .aes256GCM: EVP_aes_256_gcm()
            case .chaCha20Poly1305: EVP_chacha20_poly1305()
            }
        guard let context = EVP_CIPHER_CTX_new() else { throw .cipher }
        guard EVP_CipherInit_ex(context, algorithm, nil, nil, nil, seals ? 1 : 0) == 1 else {
            EVP_CIPHER_CTX_free(context)
            throw .cipher
        }
        contexts[index] = context
        return context
    }
}
