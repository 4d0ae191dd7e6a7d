import ArgumentParser

/// A header of the handshake's request: `Name: value`.
struct HeaderField: ExpressibleByArgument, Equatable {
    var name: String
    var value: String

    /// The headers that the handshake itself sets.
    private static let reserved = [
        "host", "upgrade", "connection", "sec-websocket-key", "sec-websocket-version", "sec-websocket-extensions",
    ]

    init(name: String, value: String) {
        self.name = name
        self.value = value
    }

    init?(argument: String) {
        guard let colon = argument.firstIndex(of: ":") else { return nil }
        name = String(argument[..<colon])
        value = String(argument[argument.index(after: colon)...].drop { $0 == " " })
        let isToken = name.utf8.allSatisfy { 0x21...0x7E ~= $0 && !"()<>@,;:\\\"/[]?={}".utf8.contains($0) }
        guard !name.isEmpty, isToken, value.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }),
            !Self.reserved.contains(name.lowercased())
        else { return nil }
    }
}
