import Authentication
import Configuration

extension Configuration.Auth {
    /// Where the keys are; nil where nobody is asked for a token.
    var keySources: KeySources? {
        guard mode == .jwt else { return nil }
        var sources = KeySources()
        sources.secret = hmacSecretFile.map { file("auth.hmac_secret_file", $0) }
        sources.publicKeys = publicKeyFiles.map { file("auth.public_key_files", $0) }
        switch jwks {
        case .file(let path): sources.keySet = file("auth.jwks", path)
        case .url(let url): sources.keySetURL = url
        case nil: break
        }
        return sources
    }

    /// What a token must say.
    var tokenPolicy: TokenPolicy {
        var policy = TokenPolicy()
        policy.issuer = issuer.isEmpty ? nil : issuer
        policy.audience = audience.isEmpty ? nil : audience
        policy.leeway = leeway
        return policy
    }

    private func file(_ key: String, _ file: KeyFile) -> KeySources.File {
        .init(path: file.path, name: "\(key) = \"\(file)\"")
    }
}
