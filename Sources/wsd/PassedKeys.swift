import Authentication
import Configuration
import Crypto
import Glibc
import Settings
import Systemd

/// The keys of the configuration that are replaced by sockets from systemd.
struct PassedKeys: Sendable {
    /// The names of the sockets, each with the key that it replaces.
    private static let keys = [
        ("wsd", "server.listen"), ("wsd-tls", "server.listen_tls"), ("api", "api.listen"),
        ("api-tls", "api.listen_tls"), ("control", "control.path"), ("status", "control.status_path"),
    ]

    /// The addresses that the sockets are bound to, by key.
    private let addresses: [String: [String]]

    init(_ passed: PassedSockets) {
        let found = Self.keys.map { name, key in (key, passed[name].map(\.address)) }.filter { !$0.1.isEmpty }
        addresses = Dictionary(uniqueKeysWithValues: found)
    }

    /// The value in force instead of a key's own, as TOML; nil if the key is used.
    func value(of key: String) -> String? {
        guard let addresses = addresses[key] else { return nil }
        let texts = addresses.map { "\"\($0)\"" }
        return texts.count == 1 && key.hasPrefix("control.") ? texts[0] : "[\(texts.joined(separator: ", "))]"
    }

    /// The keys that are set but not used.
    func unused(in loaded: LoadedConfiguration) -> [String] {
        Self.keys.map { $1 }.filter { addresses[$0] != nil && loaded.origin(of: $0) != .builtIn }
    }

    /// The name of the sockets that replace a key.
    static func name(for key: String) -> String { keys.first { $0.1 == key }?.0 ?? "" }
}

/// Digests of the contents of the key files, so that a reload can report which of them changed. Keeps no keys.
struct KeyFiles {
    private let digests: [String: [SHA256Digest?]]

    /// Reads the key files. Files that can't be read are skipped; loading the keys reports them.
    init(_ configuration: Settings) {
        let (auth, api) = (configuration.auth, configuration.api)
        var keySet: KeyFile?
        if case .file(let file)? = auth.jwks { keySet = file }
        let files: [(String, [KeyFile?])] = [
            ("auth.hmac_secret_file", [auth.hmacSecretFile]), ("auth.public_key_files", auth.publicKeyFiles),
            ("tls.certificates", configuration.tls.certificates.flatMap { [$0.certificate, $0.key] }),
            ("tls.client_ca", [configuration.tls.clientAuthorityFile]),
            ("auth.jwks", [keySet]), ("api.publish_key_file", [api.publishKeyFile]),
            ("api.read_key_file", [api.readKeyFile]), ("api.admin_key_file", [api.adminKeyFile]),
        ]
        digests = Dictionary(
            uniqueKeysWithValues: files.map { key, files in
                (
                    key,
                    files.map { $0.flatMap(Self.digest) }
                )
            })
    }

    private static func digest(of file: KeyFile) -> SHA256Digest? {
        guard var contents = try? KeyFileReader.contents(of: file.path, shownAs: "") else { return nil }
        defer { explicit_bzero(&contents, contents.count) }
        return SHA256.hash(data: contents)
    }

    /// The keys of the configuration whose files have changed since `before`, in alphabetical order.
    func changes(from before: KeyFiles) -> [String] {
        digests.keys.filter { digests[$0] != before.digests[$0] }.sorted()
    }
}
