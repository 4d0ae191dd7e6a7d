import Authentication
import Configuration
import Settings

extension Settings {
    /// The configuration without the credentials that this process can't read, and the number of these.
    var withoutHiddenCredentials: (configuration: Settings, count: Int) { without(\.isHiddenCredential) }

    /// The configuration without any credentials.
    var withoutCredentials: Settings { without(\.isCredential).configuration }

    /// The configuration without some of the files that it names, and the number of these.
    private func without(_ isLeftOut: (KeyFile) -> Bool) -> (configuration: Settings, count: Int) {
        var visible = self
        var count = 0
        func keep(_ file: KeyFile?) -> KeyFile? {
            guard let file, isLeftOut(file) else { return file }
            count += 1
            return nil
        }
        visible.auth.hmacSecretFile = keep(auth.hmacSecretFile)
        visible.auth.publicKeyFiles = auth.publicKeyFiles.compactMap(keep)
        if case .file(let file)? = auth.jwks, keep(file) == nil { visible.auth.jwks = nil }
        visible.api.publishKeyFile = keep(api.publishKeyFile)
        visible.api.readKeyFile = keep(api.readKeyFile)
        visible.api.adminKeyFile = keep(api.adminKeyFile)
        visible.broker.passwordFile = keep(broker.passwordFile)
        visible.broker.sentinelPasswordFile = keep(broker.sentinelPasswordFile)
        visible.broker.credentialsFile = keep(broker.credentialsFile)
        visible.broker.authorityFile = keep(broker.authorityFile)
        visible.tls.clientAuthorityFile = keep(tls.clientAuthorityFile)
        visible.tls.certificates = tls.certificates.filter { keep($0.certificate) != nil && keep($0.key) != nil }
        for index in consumers.indices {
            visible.consumers[index].passwordFile = keep(consumers[index].passwordFile)
            visible.consumers[index].credentialsFile = keep(consumers[index].credentialsFile)
            visible.consumers[index].authorityFile = keep(consumers[index].authorityFile)
        }
        return (visible, count)
    }
}

extension Settings.Auth {
    /// The sources of the keys for tokens; nil with `auth.mode = "none"`.
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

    /// The claims that a token must have.
    var tokenPolicy: TokenPolicy {
        var policy = TokenPolicy()
        policy.issuer = issuer.isEmpty ? nil : issuer
        policy.audience = audience.isEmpty ? nil : audience
        policy.leeway = leeway
        policy.maximumLifetime = maxLifetime > .zero ? maxLifetime : nil
        policy.requiresExpiry = requireExpiry
        return policy
    }

    private func file(_ key: String, _ file: KeyFile) -> KeySources.File {
        .init(path: file.path, name: "\(key) = \"\(file)\"")
    }
}
