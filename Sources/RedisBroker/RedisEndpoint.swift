/// A server to connect to, and what it has to be.
struct RedisEndpoint: Hashable, CustomStringConvertible {
    enum Kind {
        /// A server that is on its own, or the master of replicas.
        case server
        /// One of a cluster.
        case member
        case sentinel
    }

    var address: RedisAddress
    var kind = Kind.server

    /// The user and the password to log in with.
    func login(_ options: RedisBroker.Options) -> (user: String?, password: String?) {
        guard kind == .sentinel, case .sentinel(let sentinel) = options.servers else {
            return (options.user, options.password)
        }
        return (sentinel.user, sentinel.password)
    }

    var description: String { kind == .sentinel ? "Sentinel \(address)" : address.description }
}
