// Why there is no connection, for the person who has to do something about it.
extension RedisConnection {
    /// The reason why a server can't be used; nil if it can.
    static func unfitness(of server: Server, as kind: RedisEndpoint.Kind) -> String? {
        let parts = server.version.split(separator: ".").prefix(2).compactMap { Int($0) }
        if parts.count == 2, (parts[0], parts[1]) < (6, 2) {
            return "is Redis \(server.version); at least 6.2 is needed"
        }
        switch (kind, server.mode) {
        case (.sentinel, "sentinel"): return nil
        case (.sentinel, _): return "is no Sentinel; give the addresses of the Sentinels, not of the servers"
        case (_, "sentinel"): return "is a Sentinel, not a server that keeps data; write redis+sentinel:// for it"
        case (.server, "cluster"): return "is part of a cluster; write redis+cluster:// for that"
        case (.member, "cluster"), (.server, _): break
        case (.member, _): return "is not part of a cluster; write redis:// for a single server"
        }
        if kind == .member {
            guard parts.count < 1 || parts[0] >= 7 else {
                return "is Redis \(server.version); a cluster needs at least 7.0, for sharded pub/sub"
            }
            return nil
        }
        if server.role == "replica" || server.role == "slave" { return "is a replica; the master is needed" }
        return nil
    }

    /// What is wrong if a server does not accept a client.
    static func refusal(_ error: RedisError) -> String {
        switch error.code {
        case "WRONGPASS": "refused the password: \(error.text)"
        case "NOAUTH": "asks for a password: \(error.text)"
        case "NOPERM": "does not let this user in: \(error.text)"
        case "DENIED": "only takes connections of its own machine: \(error.text)"
        case "ERR" where error.text.contains("unknown command"), "NOPROTO":
            "does not speak RESP3, so is older than 6.0: \(error.text)"
        case "ERR" where error.text.contains("without any password configured"):
            "has no password, but one is configured: \(error.text)"
        default: "refused the connection: \(error.text)"
        }
    }
}
