import WebSocket

/// What clients say, as records choose it.
enum Requests {
    /// A request of the `json` protocol: right or wrong, but always JSON whose id, where it has one, is a good one.
    struct Request {
        var text: String
        /// As JSON text.
        var id: String?
        /// What it is about, as JSON text; empty where that is the endpoint's own channel, nil for none.
        var channel: String?
    }

    private enum Kind { case join, leave, chat, presence, history, ping, refresh, odd }

    private static let kinds: [Kind] = [
        .join, .chat, .leave, .join, .chat, .refresh, .join, .chat, .presence, .history, .leave, .chat, .join, .refresh,
        .ping, .odd,
    ]

    /// - Parameters:
    ///   - number: the request's on its connection.
    ///   - user: the client's own, for most of its tokens.
    ///   - position: where a channel was last seen to be, by its name as JSON text.
    ///   - allowsHuge: whether it may be larger than most limits.
    static func request(
        _ step: Step, number: Int, user: Int, allowsHuge: Bool,
        position: (String) -> (epoch: String, seq: UInt64)?
    ) -> Request {
        let channel = Alphabet.requestChannels[step[2] & 0xF]
        let id = Alphabet.id(number, step[2] >> 4)
        var members: [(name: String, value: String)] = []
        func add(_ name: String, _ value: String?) { if let value { members.append((name, value)) } }
        let kind = step.choice(1, of: kinds)
        add("type", kind == .odd ? nil : "\"\(kind)\"")
        if kind != .ping, kind != .refresh { add("channel", channel) }
        add("id", id)
        switch kind {
        case .join: add("since", since(step, position(channel ?? "\"lobby\"")))
        case .chat: add("data", data(step, allowsHuge: allowsHuge))
        case .history:
            add("limit", step.choice(3, of: [nil, "1", "1000", "3"]))
            add("before", step.choice(4, of: [nil, "0", "2", "9007199254740991"]))
        case .refresh:
            let mine = step[4] & 0xC0 == 0 ? step[3] & 7 : user
            let token = Alphabet.token(user: mine, grants: step[4], expiry: step[3] >> 3, delay: step[3] >> 5)
            add("token", "\"\(token)\"")
        case .odd: members += oddities[step[3] % oddities.count]
        case .leave, .presence, .ping: break
        }
        let isEscaped = step.flag(6, 4)
        let written = members.map { "\"\(isEscaped ? escaped($0.name) : $0.name)\":\($0.value)" }
        return Request(
            text: "{" + written.joined(separator: step.flag(6, 5) ? " ,\n " : ",") + "}", id: id,
            channel: kind == .ping || kind == .refresh ? nil : channel ?? "")
    }

    private static let oddities: [[(name: String, value: String)]] = [
        [("type", "\"dance\"")], [], [("type", "5")], [("type", "\"chat\"")],
        [("type", "\"history\""), ("limit", "0")], [("type", "\"join\""), ("since", "{\"seq\":1}")],
        [("type", "\"join\""), ("since", "{\"epoch\":\"\",\"seq\":18446744073709551615}")],
        [("type", "\"chat\""), ("data", "[{\"a\":[1.5e3,null,\"\\ud83d\\ude00\"]}]")], [("type", "\"refresh\"")],
        [("type", "\"refresh\""), ("token", "\"\"")], [("type", "\"ping\""), ("\\u0000", "0")],
        [("type", "\"ping\""), (String(repeating: "\\u0041", count: 3_000), "0")],
    ]

    private static func escaped(_ name: String) -> String {
        name.utf8.map { "\\u00" + String($0, radix: 16) }.joined()
    }

    private static func since(_ step: Step, _ position: (epoch: String, seq: UInt64)?) -> String? {
        guard step.flag(3, 7) else { return nil }
        let (epoch, seq) = position ?? ("nowhere", 1)
        let back = UInt64(step[3] >> 2 & 7)
        switch step[3] & 3 {
        case 0: return "{\"epoch\":\"\(epoch)\",\"seq\":\(seq)}"
        case 1: return "{\"epoch\":\"\(epoch)\",\"seq\":\(seq - min(seq, back))}"
        case 2: return "{\"epoch\":\"\(epoch)\",\"seq\":0}"
        default: return "{\"seq\":\(back == 0 ? 9_007_199_254_740_991 : seq + back),\"epoch\":\"\(epoch)\"}"
        }
    }

    private static func data(_ step: Step, allowsHuge: Bool) -> String {
        switch step[3] & 15 {
        case 11...14: large[(step[3] & 15) - 11]
        case 15 where allowsHuge: large[4]
        case let small: "{\"n\":\(small + step[4])}"
        }
    }

    private static let large = [
        "\"" + String(repeating: "deflates ", count: 40) + "\"",
        "[" + (0..<1_000).map(String.init).joined(separator: ",") + "]",
        "\"" + String(repeating: "x", count: 5_000) + "\"", "\"" + String(repeating: "y", count: 70_000) + "\"",
        "\"" + String(repeating: "z", count: 1_300_000) + "\"",
    ]

    /// A text or binary message: of the `relay` protocol, or an operator's.
    static func message(_ step: Step, _ place: Int, allowsHuge: Bool) -> (opcode: Opcode, payload: [UInt8]) {
        let fill = UInt8(ascii: "a") + UInt8(step[place] >> 4)
        switch step[place] & 15 {
        case 0...3: return (.text, Array("{\"n\":\(step[place])}".utf8))
        case 4...6: return (.text, Array("hi \(step[place])".utf8))
        case 7...9: return (.binary, [UInt8](repeating: fill, count: step[place]))
        case 10: return (.text, [])
        case 11: return (.text, [UInt8](repeating: fill, count: 400))
        case 12: return (.binary, (0..<3_000).map { UInt8($0 * $0 & 0xFF) })
        case 13: return (.text, [UInt8](repeating: fill, count: 66_000))
        case 14: return (.text, Array("\"\u{e9}\u{1F600}\\u0041\"".utf8))
        default: return (.binary, [UInt8](repeating: fill, count: allowsHuge ? 1_500_000 : 20_000))
        }
    }
}
