internal import JWTKit

extension VerificationKey {
    /// The minimum length of a secret in bytes: that of the hash (RFC 7518, section 3.2).
    static let shortestSecret = 32

    /// A secret for HS256, and for HS384 and HS512 if it is long enough for them.
    init(secret: [UInt8], id: String? = nil, from origin: String) async throws(KeyError) {
        guard secret.count >= Self.shortestSecret else {
            throw KeyError(
                "\(origin): the secret has \(secret.count) bytes, and HS256 needs \(Self.shortestSecret) or more; make one "
                    + "with \"openssl rand -base64 48\"")
        }
        let key = HMACKey(from: secret)
        var algorithms: [any JWTAlgorithm] = []
        for (algorithm, byteCount) in [(DigestAlgorithm.sha256, 32), (.sha384, 48), (.sha512, 64)]
        where secret.count >= byteCount {
            let keys = await JWTKeyCollection().add(hmac: key, digestAlgorithm: algorithm)
            if let algorithm = try? await keys.getKey() { algorithms.append(algorithm) }
        }
        self.init(id: id, algorithms: algorithms)
    }

    /// A secret from a file, without a line feed at its end, which editors add.
    init(secretFile path: String, shownAs origin: String) async throws(KeyError) {
        var secret = try KeyFileReader.contents(of: path, shownAs: origin)
        if secret.last == UInt8(ascii: "\n") { secret.removeLast() }
        if secret.last == UInt8(ascii: "\r") { secret.removeLast() }
        try await self.init(secret: secret, from: origin)
    }
}
