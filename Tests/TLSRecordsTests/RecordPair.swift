import Glibc

@testable import TLSRecords

/// Both ends of a connection, with contexts of their own as on two machines.
struct RecordPair: ~Copyable {
    var server = RecordLayer()
    var client = RecordLayer()
    let ciphers = RecordCiphers()

    init(_ suite: CipherSuite, _ random: inout Seeded) throws {
        func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in .random(in: 0 ... .max, using: &random) } }
        if suite.version == .tls13 {
            let (one, other) = (bytes(suite.hashByteCount), bytes(suite.hashByteCount))
            server = try RecordLayer(suite, secretToOpen: one, secretToSeal: other, sealedCount: 2)
            client = try RecordLayer(suite, secretToOpen: other, secretToSeal: one, sealedCount: 0)
            // The two records before are the tickets.
            for _ in 0..<2 { try client.opener.skip() }
        } else {
            let block = bytes(suite.keyBlockByteCount)
            let (key, iv) = (suite.cipher.keyByteCount, suite.keyBlockByteCount / 2 - suite.cipher.keyByteCount)
            let swapped =
                Array(block[key..<2 * key] + block[..<key] + block[(2 * key + iv)...] + block[2 * key..<2 * key + iv])
            let nonceCount = suite.explicitNonceByteCount
            server = try RecordLayer(suite, keyBlock: block, finishedNonce: bytes(nonceCount))
            client = try RecordLayer(suite, keyBlock: swapped, finishedNonce: bytes(nonceCount))
        }
    }
}
