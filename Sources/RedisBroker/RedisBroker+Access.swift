extension RedisBroker {
    /// The access rules of a Redis user that are enough for a prefix, as `ACL SETUSER` takes them.
    ///
    /// - Parameter isCluster: whether the user is one of the servers of a cluster.
    package static func accessRules(prefix: String, isCluster: Bool = false) -> String {
        let commands =
            "eval evalsha script|load publish subscribe unsubscribe ping hello select get set exists del expire pexpire "
            + "hmget hget hset hdel hincrby hlen hgetall hscan sadd srem smembers xadd xrange xrevrange xtrim time"
            + (isCluster ? " cluster|slots asking spublish ssubscribe sunsubscribe" : "")
        let rules = commands.split(separator: " ").map { "+\($0)" }.joined(separator: " ")
        return "resetkeys ~\(prefix):* resetchannels &\(prefix):* -@all \(rules)"
    }
}
