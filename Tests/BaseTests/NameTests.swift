import Base
import Testing

@Suite("A name")
struct NameTests {
    @Test("is compared by its bytes")
    func bytes() {
        // The same text for Swift's strings.
        #expect("K" == "\u{212A}" && "é" == "e\u{301}")
        #expect(Name("K") != Name("\u{212A}"))
        #expect(Name("é") != Name("e\u{301}"))
        #expect(Set([Name("K"), Name("\u{212A}"), Name("K")]).count == 2)
        #expect(Name("a") < Name("b") && Name("a") < Name("aa"))
    }

    @Test("of a channel has 1 to 255 bytes and no control characters")
    func channels() {
        for name in ["lobby", "räume 🎉", String(repeating: "x", count: 255)] { #expect(ChannelName.isValid(name)) }
        for name in ["", "a\nb", "a\u{85}b", "\u{7F}", String(repeating: "é", count: 128)] {
            #expect(!ChannelName.isValid(name))
        }
    }

    @Test("of a user is none that a guest may have")
    func users() {
        for name in ["alice", "Guest-1", "guest", String(repeating: "x", count: 128)] {
            #expect(UserName.isValid(name))
        }
        for name in ["", "guest-", "guest-0.1.2", "guest-\u{301}", "a\u{0}", String(repeating: "x", count: 129)] {
            #expect(!UserName.isValid(name))
        }
    }
}
