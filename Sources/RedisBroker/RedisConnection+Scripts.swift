import NIOCore

// Scripts, by their hashes where the server has them.
extension RedisConnection {
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
    ///
    /// - Parameter isAsking: whether the server is to take it though the slot is still being moved there.
    func run(
        _ script: RedisScript, keys: [String], _ arguments: [RESPArgument], isAsking: Bool = false,
        reply: @escaping (Reply) -> Void
    ) {
        func call(asText: Bool, _ reply: @escaping (Reply) -> Void) {
            if isAsking { send(["ASKING"]) { _ in } }
            send(reply) { buffer in
                writeCall(
                    of: script, asText: asText, keyCount: keys.count, argumentCount: keys.count + arguments.count,
                    &buffer)
                for key in keys { buffer.writeArgument(key) }
                for argument in arguments { buffer.writeArgument(argument) }
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

    /// Gives the server the scripts, and calls `body` when it has them.
    func loadScripts(then body: @escaping () -> Void) {
        var missing = RedisScript.allCases.count
        for script in RedisScript.allCases {
            send(["SCRIPT", "LOAD", .text(script.text)]) { [weak self] reply in
                // A user who may not do this can still give the text each time.
                if case .value(let value) = reply { self?.hashes[script] = value.text }
                if case .lost = reply { return }
                missing -= 1
                if missing == 0 { body() }
            }
        }
    }
}
