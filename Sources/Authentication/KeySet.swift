internal import FoundationEssentials
internal import JWTKit

/// A JSON Web Key Set (RFC 7517, section 5).
struct KeySet: Sendable {
    /// Far more than an issuer has; each token without a `kid` may have to try all of them.
    static let maximumCount = 100

    /// The keys that tokens can be signed with.
    let keys: [VerificationKey]
    /// The number of keys left out. RFC 7517 asks to ignore keys of unknown kinds.
    let ignoredCount: Int

    /// Parses a set.
    ///
    /// - Parameter allowsSecrets: whether keys of the type "oct" are used. A key that everybody can fetch is not a
    ///   secret.
    init(json: [UInt8], allowsSecrets: Bool, from origin: String) async throws(KeyError) {
        let document: Document
        do { document = try JSONDecoder().decode(Document.self, from: Data(json)) } catch {
            throw KeyError("\(origin): no JSON Web Key Set, an object with the array \"keys\"")
        }
        guard document.keys.count <= Self.maximumCount else {
            throw KeyError("\(origin): \(document.keys.count) keys; \(Self.maximumCount) are taken at most")
        }
        var keys: [VerificationKey] = []
        for member in document.keys {
            guard let key = await member.verificationKey(allowsSecrets: allowsSecrets, from: origin) else { continue }
            keys.append(key)
        }
        guard !keys.isEmpty else {
            throw KeyError("\(origin): no key in the set that a token can be signed with")
        }
        self.keys = keys
        ignoredCount = document.keys.count - keys.count
    }

    private struct Document: Decodable {
        let keys: [Member]
    }

    /// One key, whose kind may be unknown here.
    private struct Member: Decodable {
        private let type: String?
        private let use: String?
        private let operations: [String]?
        private let algorithm: String?
        private let id: String?
        private let curve: String?
        private let secret: String?
        private let key: JWK?

        private enum CodingKeys: String, CodingKey {
            case type = "kty"
            case use
            case operations = "key_ops"
            case algorithm = "alg"
            case id = "kid"
            case curve = "crv"
            case secret = "k"
        }

        init(from decoder: any Decoder) throws {
            let members = try decoder.container(keyedBy: CodingKeys.self)
            type = try? members.decode(String.self, forKey: .type)
            use = try? members.decode(String.self, forKey: .use)
            operations = try? members.decode([String].self, forKey: .operations)
            algorithm = try? members.decode(String.self, forKey: .algorithm)
            id = try? members.decode(String.self, forKey: .id)
            curve = try? members.decode(String.self, forKey: .curve)
            secret = try? members.decode(String.self, forKey: .secret)
            key = try? JWK(from: decoder)
        }

        /// The algorithms that the key may be used with, by its type, and by its `alg` if it has one.
        private var algorithmNames: [String] {
            let possible =
                switch (type, curve) {
                case ("RSA", _): ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
                case ("EC", "P-256"): ["ES256"]
                case ("EC", "P-384"): ["ES384"]
                case ("EC", "P-521"): ["ES512"]
                case ("OKP", "Ed25519"): ["EdDSA"]
                case ("oct", _): ["HS256", "HS384", "HS512"]
                default: [String]()
                }
            guard let algorithm else { return possible }
            return possible.filter { $0 == algorithm }
        }

        func verificationKey(allowsSecrets: Bool, from origin: String) async -> VerificationKey? {
            guard use == nil || use == "sig", operations?.contains("verify") ?? true else { return nil }
            let names = algorithmNames
            if type == "oct" {
                guard allowsSecrets, let secret, let bytes = Base64URL.decode(secret.utf8),
                    let key = try? await VerificationKey(secret: bytes, from: origin)
                else { return nil }
                return VerificationKey(id: id, algorithms: names.compactMap { key.algorithms[$0] }).usable
            }
            guard var key else { return nil }
            var algorithms: [any JWTAlgorithm] = []
            for name in names {
                key.algorithm = JWK.Algorithm(rawValue: name)
                key.keyIdentifier = JWKIdentifier(string: name)
                let keys = JWTKeyCollection()
                guard (try? await keys.add(jwk: key)) != nil, let algorithm = try? await keys.getKey() else { continue }
                algorithms.append(algorithm)
            }
            return VerificationKey(id: id, algorithms: algorithms).usable
        }
    }
}

extension VerificationKey {
    fileprivate var usable: VerificationKey? { algorithms.isEmpty ? nil : self }
}
