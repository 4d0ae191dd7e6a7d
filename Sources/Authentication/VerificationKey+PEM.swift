internal import JWTKit

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
