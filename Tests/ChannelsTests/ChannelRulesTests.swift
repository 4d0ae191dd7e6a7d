import Settings
import Testing

@testable import Channels

@Suite("Rules for channels")
struct ChannelRulesTests {
    @Test(
        "A pattern's * is any run of characters",
        arguments: [
            ("room:*", "room:1", true), ("room:*", "room:", true), ("room:*", "rooms", false), ("*", "", true),
            ("a*b*c", "abc", true), ("a*b*c", "aXbYbZc", true), ("a*b*c", "aXbYbZ", false), ("a", "a", true),
            ("a", "ab", false), ("**", "x", true), ("räume*", "räume 🎉", true), ("*:admin", "a:b:admin", true),
        ])
    func patterns(pattern: String, name: String, matches: Bool) {
        #expect(ChannelPattern(pattern).matches(name) == matches)
    }

    @Test func `A pattern matches as the plainest matcher says`() {
        func naive(_ pattern: Substring, _ name: Substring) -> Bool {
            guard let first = pattern.first else { return name.isEmpty }
            if first == "*" {
                return naive(pattern.dropFirst(), name) || (!name.isEmpty && naive(pattern, name.dropFirst()))
            }
            return name.first == first && naive(pattern.dropFirst(), name.dropFirst())
        }
        var random = Seeded(seed: 5)
        var matching = 0
        for _ in 0..<5_000 {
            let pattern = String(
                (0..<Int.random(in: 0...6, using: &random)).map { _ in "ab*".randomElement(using: &random)! })
            let name = String(
                (0..<Int.random(in: 0...8, using: &random)).map { _ in "ab".randomElement(using: &random)! })
            let expected = naive(pattern[...], name[...])
            #expect(ChannelPattern(pattern).matches(name) == expected, "\(pattern) \(name)")
            if expected { matching += 1 }
        }
        #expect(matching > 500)
    }

    @Test func `A pattern of many stars takes no time`() {
        #expect(!ChannelPattern(String(repeating: "*a", count: 100) + "b").matches(String(repeating: "a", count: 255)))
    }

    @Test func `The first pattern that matches holds`() {
        func settings(_ count: Int) -> ChannelSettings {
            var settings = ChannelSettings()
            settings.maxMembers = count
            return settings
        }
        let rules = ChannelRules([(ChannelPattern("a*"), settings(1)), (ChannelPattern("*b"), settings(2))])
        #expect(rules.settings(for: "ab").maxMembers == 1)
        #expect(rules.settings(for: "bb").maxMembers == 2)
        #expect(rules.settings(for: "c") == ChannelSettings())
    }

    @Test func `Who may do what follows from the rule and the token`() {
        let guest = Identity()
        let user = Identity(user: "u")
        let granted = Identity(
            user: "u", grants: [Grant(pattern: ChannelPattern("r:*"), subscribe: true, publish: false)])
        var settings = ChannelSettings()
        let cases: [(Access, [Bool])] = [
            (.anyone, [true, true, true]), (.users, [false, true, true]), (.granted, [false, false, true]),
            (.nobody, [false, false, false]),
        ]
        for (access, expected) in cases {
            settings.subscribe = access
            #expect([guest, user, granted].map { $0.maySubscribe(to: "r:1", settings) } == expected)
        }
        settings.publish = .granted
        settings.subscribe = .granted
        #expect(!granted.mayPublish(to: "r:1", settings))
        #expect(!granted.maySubscribe(to: "s:1", settings))
    }
}
