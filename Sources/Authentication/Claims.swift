internal import Base
internal import Channels
internal import FoundationEssentials

/// The claims of a token (RFC 7519, section 4) that are used here.
struct Claims: Decodable {
    private let issuer: String?
    let subject: String
    private let audience: [String]
    private let expiry: Double?
    private let notBefore: Double?
    private let issuedAt: Double?
    private let grants: [Grant]

    /// The maximum number of patterns in `channels`.
    static let maximumGrants = 256

    private enum CodingKeys: String, CodingKey {
        case issuer = "iss"
        case subject = "sub"
        case audience = "aud"
        case expiry = "exp"
        case notBefore = "nbf"
        case issuedAt = "iat"
        case grants = "channels"
    }

    init(from decoder: any Decoder) throws {
        let claims = try decoder.container(keyedBy: CodingKeys.self)
        func read<Value: Decodable>(_ key: CodingKeys, _ type: Value.Type, _ kind: String) throws -> Value? {
            do { return try claims.decodeIfPresent(type, forKey: key) } catch let refusal as TokenRefusal {
                throw refusal
            } catch {
                throw TokenRefusal.claim("the claim \(key.rawValue) must be \(kind)")
            }
        }
        issuer = try read(.issuer, String.self, "a string")
        guard let subject = try read(.subject, String.self, "a string") else {
            throw TokenRefusal.claim("the claim sub is missing: it names the user")
        }
        self.subject = subject
        expiry = try read(.expiry, Double.self, "a number, in seconds since 1970")
        notBefore = try read(.notBefore, Double.self, "a number, in seconds since 1970")
        issuedAt = try read(.issuedAt, Double.self, "a number, in seconds since 1970")
        if let single = try? claims.decode(String.self, forKey: .audience) {
            audience = [single]
        } else {
            audience = try read(.audience, [String].self, "a string or an array of strings") ?? []
        }
        grants =
            try read(
                .grants, GrantList.self,
                "an array of {\"pattern\": …, \"subscribe\": true, \"publish\": true}, or an object of patterns with "
                    + "[\"subscribe\", \"publish\"]")?.grants ?? []
    }

    /// The identity that the token names, if the token may be used now and here.
    ///
    /// - Parameter now: seconds since 1970.
    func identity(_ policy: TokenPolicy, now: Double) throws(TokenRefusal) -> Identity {
        let lengths = UserName.byteCounts
        guard lengths.contains(subject.utf8.count) else {
            throw .claim("the claim sub must have 1 to \(lengths.upperBound) bytes, not \(subject.utf8.count)")
        }
        guard !subject.hasControlCharacters else {
            throw .claim("the claim sub holds a control character")
        }
        guard !UserName.isGuest(subject) else {
            throw .claim("the claim sub begins with \"\(UserName.guestPrefix)\", which is for those without a token")
        }
        let leeway = Double(policy.leeway.components.seconds)
        if let expiry {
            guard expiry > 0, expiry < 1e11 else { throw .claim("the claim exp is no time in seconds since 1970") }
            guard now < expiry + leeway else {
                throw TokenRefusal(label: "expired", message: "the token has expired \(Int(now - expiry)) s ago")
            }
        }
        if let notBefore {
            guard notBefore < 1e11 else { throw .claim("the claim nbf is no time in seconds since 1970") }
            guard now >= notBefore - leeway else {
                throw TokenRefusal(
                    label: "not_yet_valid", message: "the token is good only in \(Int(notBefore - now)) s")
            }
        }
        if let wanted = policy.issuer, issuer != wanted {
            throw TokenRefusal(label: "issuer", message: "the token is from another issuer: \(shown(issuer))")
        }
        if let wanted = policy.audience, !audience.contains(wanted) {
            throw TokenRefusal(
                label: "audience",
                message: "the token is for another audience: \(audience.isEmpty ? "none" : shown(audience[0]))")
        }
        return Identity(user: subject, grants: grants, expiresAt: try end(policy, now: now).map { Int64($0 * 1000) })
    }

    /// The time at which the token expires, in seconds since 1970: its `exp`, or the end of the policy's maximum
    /// lifetime if that is earlier.
    private func end(_ policy: TokenPolicy, now: Double) throws(TokenRefusal) -> Double? {
        guard expiry != nil || !policy.requiresExpiry else {
            throw .claim("the claim exp is missing, and auth.require_exp asks for it")
        }
        guard let bound = policy.maximumLifetime else { return expiry }
        let lifetime = Double(bound.components.seconds) + Double(bound.components.attoseconds) / 1e18
        if let issuedAt {
            guard issuedAt > 0, issuedAt < 1e11 else { throw .claim("the claim iat is no time in seconds since 1970") }
        }
        // A token that is dated in the future is not valid longer for it.
        let end = min(issuedAt ?? now, now) + lifetime
        guard now < end + Double(policy.leeway.components.seconds) else {
            let excess = Int(now - end)
            throw TokenRefusal(
                label: "expired",
                message: "the token has expired \(excess) s ago: auth.max_lifetime counts from its iat")
        }
        return min(expiry ?? end, end)
    }

    private func shown(_ text: String?) -> String { text.map { "\"\($0.prefix(64))\"" } ?? "none" }
}

/// The claim `channels` in either form.
private struct GrantList: Decodable {
    let grants: [Grant]

    private struct Entry: Decodable {
        var pattern: String
        var subscribe: Bool?
        var publish: Bool?
    }

    init(from decoder: any Decoder) throws {
        let entries: [Entry]
        if let array = try? decoder.singleValueContainer().decode([Entry].self) {
            entries = array
        } else {
            let object = try decoder.singleValueContainer().decode([String: [String]].self)
            entries = try object.sorted { $0.key < $1.key }.map { pattern, permissions in
                if let unknown = permissions.first(where: { !["subscribe", "publish"].contains($0) }) {
                    throw TokenRefusal.claim(
                        "the claim channels grants \"\(unknown.prefix(32))\"; write \"subscribe\" or \"publish\"")
                }
                return Entry(
                    pattern: pattern, subscribe: permissions.contains("subscribe"),
                    publish: permissions.contains("publish"))
            }
        }
        guard entries.count <= Claims.maximumGrants else {
            throw TokenRefusal.claim("the claim channels has more than \(Claims.maximumGrants) patterns")
        }
        guard entries.allSatisfy({ ChannelName.byteCounts.contains($0.pattern.utf8.count) }) else {
            throw TokenRefusal.claim("the claim channels has a pattern that is empty or longer than 255 bytes")
        }
        grants = entries.map {
            Grant(
                pattern: ChannelPattern($0.pattern), subscribe: $0.subscribe ?? false, publish: $0.publish ?? false)
        }
    }
}

extension TokenRefusal {
    static func claim(_ message: String) -> TokenRefusal { TokenRefusal(label: "claim", message: message) }
}
