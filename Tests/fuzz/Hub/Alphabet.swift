import Channels

/// The few names that programs are written with, so that clients meet.
enum Alphabet {
    /// With two workers, the homes of those next to each other are different ones.
    static let channels = ["a", "b", "c", "d", "lobby", "r"]

    struct Endpoint {
        let path: String
        let isJSON: Bool
        let channel: String
    }

    /// The one without a channel twice, so that most clients are in one only if they join it.
    static let endpoints = [
        Endpoint(path: "/chat", isJSON: true, channel: "lobby"),
        Endpoint(path: "/none", isJSON: true, channel: ""),
        Endpoint(path: "/a", isJSON: true, channel: "a"),
        Endpoint(path: "/b", isJSON: true, channel: "b"),
        Endpoint(path: "/none", isJSON: true, channel: ""),
        Endpoint(path: "/relay", isJSON: false, channel: "r"),
        Endpoint(path: "/mixed", isJSON: false, channel: "lobby"),
        Endpoint(path: "/relay-a", isJSON: false, channel: "a"),
    ]

    /// As JSON text; nil: the request has no channel. The first are what most requests have.
    static let requestChannels: [String?] = [
        "\"a\"", "\"b\"", "\"c\"", "\"d\"", "\"a\"", "\"b\"", "\"lobby\"", nil, "\"r\"", "\"\\u0061\"", "\"a\"",
        "\"b\"",
        "\"e\\u0301\\u00e9\\ud83d\\ude00\"", "\"" + String(repeating: "n", count: 255) + "\"",
        "\"" + String(repeating: "n", count: 256) + "\"", "\"\"",
    ]

    /// An id as JSON text, in one of sixteen ways; nil: none.
    ///
    /// - Parameter number: what no other id of the connection has.
    static func id(_ number: Int, _ way: Int) -> String? {
        switch way & 0xF {
        case 0...6: "\(number)"
        case 7, 8: "\"\(number)\""
        case 9: "\"\\u0061\(number)\""
        case 10: "-\(number)"
        case 11: "\"" + String(repeating: "i", count: 64 - String(number).count) + "\(number)\""
        case 12: "\(9_007_199_254_740_991 - number)"
        case 13: "\"\u{e9}\(number)\\ud83d\\ude00\""
        default: nil
        }
    }

    static let users = ["alice", "bob", "\u{e9}ve"]

    /// `alice.3f.0.0`: the user, what is granted (a bit for each channel, the seventh for `*`), when it expires, and how
    /// long it takes to find out. What the engine is told of it is up to ``verify(_:)``.
    static func token(user: Int, grants: Int, expiry: Int, delay: Int) -> String {
        "\(user).\(String(grants & 0x7F, radix: 16)).\(expiry & 3).\(delay & 3)"
    }

    static let verify: @Sendable (String) async -> Result<Identity, TokenRefusal> = { token in
        let parts = token.split(separator: ".", omittingEmptySubsequences: false).map { Int($0, radix: 16) }
        guard parts.count == 4, let user = parts[0], let grants = parts[1], let expiry = parts[2], let delay = parts[3]
        else { return .failure(TokenRefusal(label: "malformed", message: "no \"token\"")) }
        switch delay {
        case 1: try? await Task.sleep(for: .milliseconds(1))
        case 2: try? await Task.sleep(for: .milliseconds(20))
        default: break
        }
        guard user < users.count else {
            return .failure(
                TokenRefusal(label: user == users.count ? "signature" : "keys_unavailable", message: "not now"))
        }
        var identity = Identity(user: users[user])
        for (bit, name) in (channels + ["*"]).enumerated() where grants >> bit & 1 == 1 {
            identity.grants.append(Grant(pattern: ChannelPattern(name), subscribe: true, publish: true))
        }
        identity.expiresAt = [nil, 1, Int64.max, 4_102_444_800_000][expiry & 3]
        return .success(identity)
    }
}
