import Configuration
import Systemd

/// The keys of the configuration that are replaced by sockets from systemd.
struct PassedKeys: Sendable {
    /// The names of the sockets, each with the key that it replaces.
    private static let keys = [
        ("wsd", "server.listen"), ("api", "api.listen"), ("control", "control.path"), ("status", "control.status_path"),
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
