import NIOCore

// How scripts are run.
extension RedisShard {
    /// Writes the beginning of a command that runs a script; the keys and the other arguments must follow.
    func writeCall(
        of script: RedisScript, asText: Bool, keyCount: Int, argumentCount: Int, _ buffer: inout ByteBuffer
    ) {
        buffer.writeCommandHead(3 + argumentCount)
        if !asText, let hash = hashes[script] {
            buffer.writeArgument("EVALSHA")
            buffer.writeArgument(hash)
        } else {
            buffer.writeArgument("EVAL")
            buffer.writeArgument(script.text)
        }
        buffer.writeArgument(keyCount)
    }

    /// Runs a script. A server that has forgotten it is given its text.
    func run(
        _ script: RedisScript, keys: [String], _ arguments: [RESPArgument], on connection: RedisConnection,
        reply: @escaping (RedisConnection.Reply) -> Void
    ) {
        let all = keys.map { RESPArgument.text($0) } + arguments
        func call(asText: Bool, _ reply: @escaping (RedisConnection.Reply) -> Void) {
            connection.send(reply) { buffer in
                writeCall(of: script, asText: asText, keyCount: keys.count, argumentCount: all.count, &buffer)
                for argument in all { buffer.writeArgument(argument) }
            }
        }
        call(asText: false) { answer in
            if case .error(let error) = answer, error.code == "NOSCRIPT" {
                call(asText: true, reply)
            } else {
                reply(answer)
            }
        }
    }

    /// Gives the server the scripts, and then calls `body`.
    func loadScripts(_ connection: RedisConnection, then body: @escaping () -> Void) {
        hashes = [:]
        for script in RedisScript.allCases {
            connection.send(["SCRIPT", "LOAD", .text(script.text)]) { [weak self] reply in
                // A user who may not do this can still give the text each time.
                if case .value(let value) = reply { self?.hashes[script] = value.text }
            }
        }
        connection.send(["SET", .text(keys.publishScript), .text(RedisScript.publish.text)]) { reply in
            if case .lost = reply { return }
            body()
        }
    }
}
