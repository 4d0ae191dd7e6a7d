extension RedisBroker {
    /// The access rules of a Redis user that are enough for a prefix, as `ACL SETUSER` takes them.
    package static func accessRules(prefix: String) -> String {
        let commands =
            "eval evalsha script|load publish subscribe unsubscribe ping hello select get set exists del expire "
            + "hmget hget hset hdel hincrby hlen hgetall hscan sadd srem smembers xadd xrange xrevrange xtrim time"
        let rules = commands.split(separator: " ").map { "+\($0)" }.joined(separator: " ")
        return "resetkeys ~\(prefix):* resetchannels &\(prefix):* -@all \(rules)"
    }
}
