import ArgumentParser
import Control

/// What a shell offers for an argument, asked from the daemon; nothing where it can't be.
enum Completion {
    /// As many as a person can choose from.
    private static let limit = 200

    /// Names of channels.
    static let channels = CompletionKind.custom { _, _, prefix in
        let reply = try? client()?.call(
            ListChannels.name, ListChannels.Parameters(pattern: "\(prefix)*", limit: limit),
            returning: ListChannels.Reply.self)
        return reply?.channels.map(\.name) ?? []
    }

    /// Ids of connections.
    static let connections = CompletionKind.custom { _, _, _ in
        page()?.connections.map(\.id) ?? []
    }

    /// Names of users who are connected.
    static let users = CompletionKind.custom { _, _, _ in
        Set(page()?.connections.compactMap(\.user) ?? []).sorted()
    }

    private static func page() -> ConnectionPage? {
        try? client()?.call(List.name, List.Parameters(limit: limit), returning: ConnectionPage.self)
    }

    private static func client() -> DaemonClient? {
        guard let options = try? GlobalOptions.parse([]) else { return nil }
        return try? DaemonClient.forLooking(options)
    }
}
