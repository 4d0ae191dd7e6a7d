import ArgumentParser
import Base
import Control
import Operations
import Terminal

/// The candidates for an argument, requested from the daemon; none if it can't be reached.
enum Completion {
    /// The maximum number of candidates, as many as a person can choose from.
    private static let limit = 200
    /// How long a person who pressed Tab waits.
    private static let patienceSeconds = 1

    /// Names of channels.
    static let channels = CompletionKind.custom { words, _, prefix in
        // An asterisk in the name is a wildcard, which also matches an asterisk.
        let reply = try? looking(words)?.call(
            ListChannels.name, ListChannels.Parameters(pattern: "\(prefix)*", limit: limit),
            returning: ListChannels.Reply.self)
        return offered(reply?.channels.map(\.name) ?? [], prefix)
    }

    /// Ids of connections.
    static let connections = CompletionKind.custom { words, _, prefix in
        gather(words, prefix) { [$0.id.description] }
    }

    /// Names of users who are connected.
    static let users = CompletionKind.custom { words, _, prefix in
        gather(words, prefix) { $0.user.map { [$0] } ?? [] }
    }

    /// Arguments for `wsctl why`: users first, because there are many ids.
    static let usersAndConnections = CompletionKind.custom { words, _, prefix in
        var (users, ids): (Set<String>, Set<String>) = ([], [])
        forEachConnection(words) { connection in
            if let user = connection.user, user.hasPrefix(prefix) { users.insert(user) }
            let id = connection.id.description
            if id.hasPrefix(prefix) { ids.insert(id) }
            return users.count < limit
        }
        return offered(users.sorted() + ids.sorted(), prefix)
    }

    /// Paths of the endpoints in the configuration.
    static let endpoints = CompletionKind.custom { words, _, prefix in
        let paths = (try? settings(words))?.filter { $0.key.hasPrefix("endpoint[") && $0.key.hasSuffix("].path") }
        return offered((paths ?? []).map { String($0.value.drop { $0 == "\"" }.prefix { $0 != "\"" }) }, prefix)
    }

    /// Keys of the configuration.
    static let keys = CompletionKind.custom { words, _, prefix in
        offered((try? settings(words).map(\.key)) ?? [], prefix)
    }

    /// Keys that `wsctl limits` can set, each with `=` and, if there are only a few, its values.
    static let settableKeys = CompletionKind.custom { words, _, prefix in
        let settable = (try? settings(words).filter(\.isSettable)) ?? []
        guard let equals = prefix.firstIndex(of: "=") else { return offered(settable.map { "\($0.key)=" }, prefix) }
        let choices = settable.first { $0.key == prefix[..<equals] }?.choices ?? []
        return offered(choices.map { "\(prefix[...equals])\($0)" }, prefix)
    }

    private static func settings(_ words: [String]) throws(Failure) -> [GetConfiguration.Setting] {
        try DaemonClient.forActing(options(words), timeoutSeconds: patienceSeconds)
            .call(GetConfiguration.name, returning: GetConfiguration.Reply.self).settings
    }

    /// The values of connections that begin with `prefix`, from as many connections as can be read in time.
    private static func gather(
        _ words: [String], _ prefix: String, _ values: (ConnectionRow) -> [String]
    ) -> [String] {
        var found: Set<String> = []
        forEachConnection(words) { connection in
            for value in values(connection) where value.hasPrefix(prefix) { found.insert(value) }
            return found.count < limit
        }
        return offered(found.sorted(), prefix)
    }

    /// Passes connections to `body` until it returns false, as many as can be read in time.
    private static func forEachConnection(_ words: [String], _ body: (ConnectionRow) -> Bool) {
        struct Enough: Error {}
        let end = ContinuousClock.now + .seconds(patienceSeconds)
        try? looking(words)?.callMore(List.name, List.Parameters(), returning: ConnectionPage.self) { page in
            guard page.connections.allSatisfy(body), ContinuousClock.now <= end else { throw Enough() }
        }
    }

    /// The values that can be typed safely. Clients choose names, so those that a terminal would obey, that have two
    /// lines, or that look like an option are left out.
    private static func offered(_ values: [String], _ prefix: String) -> [String] {
        let fit = values.filter {
            $0.hasPrefix(prefix) && !$0.isEmpty && !$0.hasPrefix("-") && TerminalText.escape($0) == $0
        }
        return Array(fit.prefix(limit))
    }

    private static func looking(_ words: [String]) -> DaemonClient? {
        try? DaemonClient.forLooking(options(words), timeoutSeconds: patienceSeconds)
    }

    /// The options that say where the daemon is; the last word is still being typed.
    private static func options(_ words: [String]) -> GlobalOptions {
        var named: [String] = []
        for (place, word) in words.dropLast().enumerated() {
            if word == "--socket", place + 2 < words.count { named = [word, words[place + 1]] }
            if word.hasPrefix("--socket=") { named = [word] }
        }
        // Only this option is passed, so parsing succeeds.
        return (try? GlobalOptions.parse(named)) ?? GlobalOptions()
    }
}
