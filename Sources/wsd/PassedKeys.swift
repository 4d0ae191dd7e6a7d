import Configuration
import Systemd

/// The keys of the configuration whose place is taken by sockets that systemd passes.
struct PassedKeys: Sendable {
    /// The names of sockets, each with its key.
    private static let keys = [
        ("wsd", "server.listen"), ("api", "api.listen"), ("control", "control.path"), ("status", "control.status_path"),
    ]

    /// What the sockets are bound to, by key.
    private let addresses: [String: [String]]

    init(_ passed: PassedSockets) {
        let found = Self.keys.map { name, key in (key, passed[name].map(\.address)) }.filter { !$0.1.isEmpty }
        addresses = Dictionary(uniqueKeysWithValues: found)
    }

    /// What is in force in a key's place, as TOML; nil where the key holds.
    func value(of key: String) -> String? {
        guard let addresses = addresses[key] else { return nil }
        let texts = addresses.map { "\"\($0)\"" }
        return texts.count == 1 && key.hasPrefix("control.") ? texts[0] : "[\(texts.joined(separator: ", "))]"
    }

    /// The keys that somebody has given and that are not used.
    func unused(in loaded: LoadedConfiguration) -> [String] {
        Self.keys.map { $1 }.filter { addresses[$0] != nil && loaded.origin(of: $0) != .builtIn }
    }

    /// The name of the sockets in a key's place.
    static func name(for key: String) -> String { keys.first { $0.1 == key }?.0 ?? "" }
}
