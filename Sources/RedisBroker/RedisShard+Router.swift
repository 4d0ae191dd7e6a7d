import Base
import NIOCore

// The keys of a single server.
extension RedisShard: RedisRouter {
    var isReachable: Bool { commands.ready != nil }

    func isReady(for channel: Name, isHeard: Bool) -> Bool {
        commands.ready != nil && !(isHeard && subscriptions.isRestoring(channel))
    }

    func send(_ command: [RESPArgument], _ reply: @escaping (RedisConnection.Reply) -> Void) {
        guard let connection = commands.ready else { return reply(.lost) }
        connection.send(command, reply)
    }

    func run(
        _ script: RedisScript, keys: [String], _ arguments: [RESPArgument],
        reply: @escaping (RedisConnection.Reply) -> Void
    ) {
        guard let connection = commands.ready else { return reply(.lost) }
        connection.run(script, keys: keys, arguments, reply: reply)
    }

    func noteFault(_ error: RedisError) { noteFault(error, isProbe: false) }
}
