import WebSocket

/// What clients do.
extension Run {
    func perform(_ step: Step) {
        switch step.kind {
        case .open: open(step)
        case .request:
            if let client = step.flag(0, 7) ? client(step[0]) : requester(step) {
                request(step, client, holds: step[5] >> 6 == 3)
            }
        case .burst: burst(step)
        case .say: say(step)
        case .rawFrames: sayRaw(step, asText: false)
        case .rawText: sayRaw(step, asText: true)
        case .control: control(step)
        case .reading: read(step)
        case .end: end(step)
        case .wait: wait(step)
        case .cut:
            guard let client = client(step[0]) else { return }
            client.pieceByteCount = step.choice(1, of: [0, 1, 2, 3, 7, 100])
            Trace.note("\(client.number) sends pieces of \(client.pieceByteCount)")
        case .restart:
            Trace.note("restart")
            restart(step)
        case .kick, .unsubscribe, .broadcast, .publish, .look, .follow, .reconfigure, .drain: command(step)
        }
    }

    private func open(_ step: Step) {
        guard let place = freePlace(step[0]) else { return }
        let endpoint = step.choice(1, of: Alphabet.endpoints)
        let user = step[2] & 15 == 15 ? 3 : (step[2] & 15) % 3
        var query: [String] = []
        var fields = ""
        if asksForTokens, step[5] & 15 != 15 {
            let token = Alphabet.token(
                user: user, grants: step[3], expiry: step[2] >> 4 == 15 ? 1 : 0, delay: step[5] >> 2)
            switch step[5] & 3 {
            case 0, 1: query.append("token=\(token)")
            case 2: fields += "Authorization: Bearer \(token)\r\n"
            default: fields += "Cookie: session=\(token)\r\n"
            }
        }
        let offers = step.pair(4, 0, of: ["", "", "; server_max_window_bits=9", "; server_max_window_bits=8"])
        let offersCompression = step[4] & 3 > 0
        if offersCompression { fields += "Sec-WebSocket-Extensions: permessage-deflate\(offers)\r\n" }
        if step.flag(6, 0), let position = position(of: "\"\(endpoint.channel)\"") {
            query += ["epoch=\(position.epoch)", "seq=\(position.seq - min(position.seq, UInt64(step[6] >> 4)))"]
        }
        let isUnix = step.flag(4, 2)
        let socket = hub.connect(isUnix: isUnix, receiveBufferByteCount: step.flag(4, 3) ? 2_048 : 0)
        guard socket >= 0 else { return }
        let client = Client(
            number: nextClientNumber(), descriptor: socket, endpoint: endpoint, user: user,
            offersCompression: offersCompression, answersPings: !step.flag(6, 1))
        clients[place]?.cut()
        clients[place] = client
        let target = endpoint.path + (query.isEmpty ? "" : "?" + query.joined(separator: "&"))
        Trace.note("\(client.number) opens \(target) \(isUnix ? "unix" : "tcp") \(fields.split(separator: "\r\n"))")
        if step.flag(4, 4) { client.pieceByteCount = 50 }
        client.queue(
            Array(
                """
                GET \(target) HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\(fields)\r\n
                """.utf8))
        client.holdsOutput = step.flag(4, 5)
        guard !client.holdsOutput, step[5] >> 4 > 2 else { return }
        pump(for: .milliseconds(20)) { client.phase != .handshake }
    }

    /// The last position that anybody was told of a channel.
    private func position(of channel: String) -> (epoch: String, seq: UInt64)? {
        let name = Array(channel.utf8)
        return clients.lazy.compactMap { $0?.reader.positions[name] }.first
    }

    /// Whether there may be another huge message.
    func takeHuge() -> Bool {
        hugeMessagesLeft -= 1
        return hugeMessagesLeft >= 0
    }

    /// A client of the `json` protocol; a new one where there is none.
    private func requester(_ step: Step) -> Client? {
        if let client = client(step[0], needsJSON: true), client.endpoint.isJSON, !client.isUnaccountable {
            return client
        }
        open(Step([0, UInt8(step[0]), 1, 0, 0x7F, 0, 0xF0, 0]))
        return client(step[0], needsJSON: true)
    }

    // MARK: Messages

    private func request(_ step: Step, _ client: Client, holds: Bool) {
        let isHuge = step[3] & 15 == 15 && takeHuge()
        let request = Requests.request(
            step, number: client.nextRequestNumber(), user: client.user, allowsHuge: isHuge, position: position)
        let text = Array(request.text.utf8)
        Trace.note("\(client.number) asks \(Trace.shown(text))\(holds ? " …" : "")")
        if client.endpoint.isJSON, !client.isUnaccountable { client.expectAnswer(to: request) }
        queue(text, .text, step, client)
        client.holdsOutput = holds
    }

    /// Many requests in one packet.
    private func burst(_ step: Step) {
        guard let client = requester(step) else { return }
        // About one channel or two, and now and then about all of them.
        let mask = step.pair(2, 0, of: [0x0, 0x1, 0x1, 0xF])
        let channels = (step[3] & 0xF) | mask
        for each in step.derived(2 + step[1] % 30) {
            request(each.about(channel: each[2] & mask | channels & ~mask), client, holds: true)
        }
        client.holdsOutput = false
    }

    /// Queues a message: whole or in fragments, with a ping between them perhaps, compressed or not.
    private func queue(_ message: [UInt8], _ opcode: Opcode, _ step: Step, _ client: Client) {
        var payload = message
        var isCompressed = false
        if step.flag(6, 0), client.agreesToCompression {
            let deflated = message.withUnsafeBytes { deflater.deflate($0, windowBits: 15).map(Array.init) }
            if let deflated {
                payload = deflated
                isCompressed = true
            }
        }
        let fragmentCount = step.pair(6, 1, of: [1, 1, 2, 5])
        let size = payload.count / fragmentCount + 1
        for number in 0..<fragmentCount {
            let fragment = payload.dropFirst(number * size).prefix(size)
            client.queue(
                number == 0 ? opcode.rawValue : 0, fragment, isFinal: number == fragmentCount - 1,
                isCompressed: isCompressed && number == 0)
            if step.flag(6, 3), number < fragmentCount - 1 { client.queue(9, [1]) }
        }
    }

    private func say(_ step: Step) {
        guard let client = client(step[0]) else { return }
        let (opcode, payload) = Requests.message(step, 1, allowsHuge: step[1] & 15 == 15 && takeHuge())
        Trace.note("\(client.number) says \(opcode) \(Trace.shown(payload))")
        queue(payload, opcode, step, client)
        client.holdsOutput = step.flag(5, 7)
    }

    private func sayRaw(_ step: Step, asText: Bool) {
        let bytes = program.bytes(ofRecords: 1 + step[1] % 4)
        guard let client = client(step[0]) else { return }
        client.isUnaccountable = true
        Trace.note("\(client.number) sends \(asText ? "the text" : "raw") \(Trace.shown(bytes))")
        if asText { queue(bytes, .text, step, client) } else { client.queue(bytes) }
    }

    private func control(_ step: Step) {
        guard let client = client(step[0]) else { return }
        let payload = [UInt8](repeating: UInt8(step[2]), count: step[3] % 126)
        switch step[1] & 3 {
        case 0, 1: client.queue(9, payload)
        case 2: client.queue(10, payload)
        default: close(client, step)
        }
        Trace.note("\(client.number) sends a control frame: \(["ping", "ping", "pong", "close"][step[1] & 3])")
    }

    private func close(_ client: Client, _ step: Step) {
        let code = step.choice(4, of: [1_000, 1_001, 1_000, 4_000, 1_005, 0, 65_535, 3_000])
        let codeBytes = [UInt8(code >> 8), UInt8(code & 0xFF)]
        client.queue(8, step.flag(5, 0) ? [] : codeBytes + [UInt8](repeating: 0x61, count: step[3] % 124))
        client.isUnaccountable = true
    }

    // MARK: Reading and ending

    private func read(_ step: Step) {
        guard let client = client(step[0]) else { return }
        switch step[1] & 3 {
        case 0, 1: client.isReading = false
        case 2: client.isReading = true
        default: client.read(limit: step[2] * step[3])
        }
        Trace.note("\(client.number) \(["stops reading", "stops reading", "reads on", "reads a bit"][step[1] & 3])")
    }

    private func end(_ step: Step) {
        guard let client = client(step[0]) else { return }
        let ways = ["is cut", "is cut", "shuts down", "closes", "closes and is cut", "closes and shuts down"]
        let way = step.choice(1, of: ways)
        Trace.note("\(client.number) \(way)")
        client.holdsOutput = false
        if way.hasPrefix("closes") { close(client, step) }
        client.flush()
        if way.hasSuffix("down") { client.shutDown() }
        if way.hasSuffix("cut") { client.cut() }
    }

    private func wait(_ step: Step) {
        switch step[0] {
        case 0..<4:
            Trace.note("wait 70 ms")
            pump(for: .milliseconds(70))
        case 4..<100:
            Trace.note("wait \(step[1] & 3) ms")
            pump(for: .milliseconds(step[1] & 3))
        default:
            Trace.note("wait for answers")
            for case let client? in clients { client.holdsOutput = false }
            pump(for: .milliseconds(10)) {
                clients.allSatisfy { client in
                    guard let client, client.isReading, client.mustBeAnswered else { return true }
                    return client.unanswered.isEmpty
                }
            }
        }
    }
}
