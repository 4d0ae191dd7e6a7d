internal import JWTKit

/// A key for checking tokens, with the algorithms that it may be used with and no others, so that a public key can't be
/// taken for the secret of HS256 (RFC 8725, section 2.1).
struct VerificationKey: Sendable {
    /// The `kid` of a key from a set; nil for any.
    let id: String?
    /// The algorithms by their names in a token's `alg` (RFC 7518, section 3.1).
    let algorithms: [String: any JWTAlgorithm]

    /// Every algorithm that a token may name. "none" is no algorithm.
    static let algorithmNames: Set<String> = [
        "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
        "EdDSA",
    ]

    init(id: String?, algorithms: [any JWTAlgorithm]) {
        self.id = id
        self.algorithms = Dictionary(algorithms.map { ($0.name, $0) }) { first, _ in first }
    }
}

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

extension VerificationKey {
    /// A public key in PEM (RFC 7468).
    init(pem bytes: [UInt8], from origin: String) async throws(KeyError) {
        let text = String(decoding: bytes, as: UTF8.self)
        let labels = text.split(whereSeparator: \.isNewline).compactMap { line -> Substring? in
            guard line.hasPrefix("-----BEGIN "), line.hasSuffix("-----") else { return nil }
            return line.dropFirst(11).dropLast(5)
        }
        guard let label = labels.first else {
            throw KeyError("\(origin): no public key in PEM, which begins with \"-----BEGIN PUBLIC KEY-----\"")
        }
        guard labels.count == 1 else {
            throw KeyError("\(origin): \(labels.count) keys in one file; give each a file of its own")
        }
        let collection: JWTKeyCollection?
        switch label {
        case "PUBLIC KEY", "RSA PUBLIC KEY": collection = await Self.collection(publicKey: text)
        case "CERTIFICATE":
            throw KeyError(
                "\(origin): a certificate; give the key in it, as \"openssl x509 -in FILE -pubkey -noout\" writes it")
        case _ where label.hasSuffix("PRIVATE KEY"):
            throw KeyError(
                "\(origin): a private key, which has no place here; give the public one, as "
                    + "\"openssl pkey -in FILE -pubout\" writes it")
        default: throw KeyError("\(origin): no public key but \"\(label.prefix(40))\"")
        }
        guard let collection else {
            throw KeyError(
                "\(origin): not a key of RSA with 2048 bits or more, of P-256, P-384, P-521, or of Ed25519")
        }
        var algorithms: [any JWTAlgorithm] = []
        for id in ["", "256", "384", "512", "p256", "p384", "p512"] {
            guard let algorithm = try? await collection.getKey(for: JWKIdentifier(string: id)) else { continue }
            algorithms.append(algorithm)
        }
        self.init(id: nil, algorithms: algorithms)
    }

    private static func collection(publicKey text: String) async -> JWTKeyCollection? {
        if let key = try? Insecure.RSA.PublicKey(pem: text) { return await collection(key) }
        if let key = try? ES256PublicKey(pem: text) { return await JWTKeyCollection().add(ecdsa: key) }
        if let key = try? ES384PublicKey(pem: text) { return await JWTKeyCollection().add(ecdsa: key) }
        if let key = try? ES512PublicKey(pem: text) { return await JWTKeyCollection().add(ecdsa: key) }
        if let key = try? EdDSA.PublicKey(pem: text) { return await JWTKeyCollection().add(eddsa: key) }
        return nil
    }

    private static func collection(_ key: Insecure.RSA.PublicKey) async -> JWTKeyCollection {
        let keys = JWTKeyCollection()
        for (digest, id) in [(DigestAlgorithm.sha256, "256"), (.sha384, "384"), (.sha512, "512")] {
            await keys.add(rsa: key, digestAlgorithm: digest, kid: JWKIdentifier(string: id))
            await keys.add(pss: key, digestAlgorithm: digest, kid: JWKIdentifier(string: "p" + id))
        }
        return keys
    }
}
