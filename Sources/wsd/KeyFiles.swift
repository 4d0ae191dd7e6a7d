import Authentication
import Configuration
import Crypto

/// Digests of the contents of the key files, so that a reload can report which of them changed. Keeps no keys.
struct KeyFiles {
    private let digests: [String: [SHA256Digest?]]

    /// Reads the key files. Files that can't be read are skipped; loading the keys reports them.
    init(_ configuration: Configuration) {
        let (auth, api) = (configuration.auth, configuration.api)
        var keySet: KeyFile?
        if case .file(let file)? = auth.jwks { keySet = file }
        let files: [(String, [KeyFile?])] = [
            ("auth.hmac_secret_file", [auth.hmacSecretFile]), ("auth.public_key_files", auth.publicKeyFiles),
            ("auth.jwks", [keySet]), ("api.publish_key_file", [api.publishKeyFile]),
            ("api.read_key_file", [api.readKeyFile]), ("api.admin_key_file", [api.adminKeyFile]),
        ]
        digests = Dictionary(
            uniqueKeysWithValues: files.map { key, files in
                (
                    key,
                    files.map { file in
                        file.flatMap { try? KeyFileReader.contents(of: $0.path, shownAs: "") }
                            .map { SHA256.hash(data: $0) }
                    }
                )
            })
    }

    /// The keys of the configuration whose files have changed since `before`, in alphabetical order.
    func changes(from before: KeyFiles) -> [String] {
        digests.keys.filter { digests[$0] != before.digests[$0] }.sorted()
    }
}
