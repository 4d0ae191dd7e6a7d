import Testing

@testable import WebSocket

@Suite("Negotiating permessage-deflate")
struct PermessageDeflateTests {
    @Test(
        "An offer that the RFC allows is accepted, with the window it asks for",
        arguments: [
            ("permessage-deflate", nil),
            ("PerMessage-Deflate", nil),
            ("permessage-deflate; client_max_window_bits", nil),
            ("permessage-deflate; client_max_window_bits=9", nil),
            ("permessage-deflate;server_no_context_takeover;client_no_context_takeover", nil),
            ("permessage-deflate; server_max_window_bits=8", 8),
            ("permessage-deflate; server_max_window_bits=15", 15),
            ("permessage-deflate ; server_max_window_bits = \"12\" ; client_max_window_bits=\"10\"", 12),
            ("permessage-deflate; server_max_window_bits=\"1\\0\"", 10),
            ("x-webkit-deflate-frame, permessage-deflate", nil),
            ("foo; bar=\"a,b;c\", permessage-deflate; server_max_window_bits=11", 11),
            (", ,permessage-deflate,", nil),
        ] as [(String, Int?)])
    func accepted(field: String, windowBits: Int?) {
        let agreement = PermessageDeflate.negotiate([field])
        #expect(agreement == PermessageDeflate(serverMaximumWindowBits: windowBits))
    }

    @Test(
        "An offer with a parameter that is unknown, repeated or invalid is declined",
        arguments: [
            "permessage-deflate; foo", "permessage-deflate; foo=1", "permessage-deflate; server_max_window_bits",
            "permessage-deflate; server_max_window_bits=7", "permessage-deflate; server_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=010", "permessage-deflate; server_max_window_bits=+9",
            "permessage-deflate; server_max_window_bits=", "permessage-deflate; server_max_window_bits=1x",
            "permessage-deflate; client_max_window_bits=0", "permessage-deflate; client_max_window_bits=16",
            "permessage-deflate; server_no_context_takeover=1", "permessage-deflate; client_no_context_takeover=\"\"",
            "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
            "permessage-deflate; client_max_window_bits; client_max_window_bits=9",
            "permessage-deflate;", "permessage-deflate; ; client_max_window_bits", "permessage-deflate; a b",
            "permessage-deflate; server_max_window_bits=\"9", "permessage-deflate; server_max_window_bits=9\"",
            "permessage-deflate; server_max_window_bits=\"9\\\"", "permessage-deflat", "foo", "",
        ])
    func declined(field: String) {
        #expect(PermessageDeflate.negotiate([field]) == nil)
    }

    @Test("The first acceptable offer counts, over all lines of the field")
    func order() {
        let bad = "permessage-deflate; server_max_window_bits=99"
        let agreement = PermessageDeflate(serverMaximumWindowBits: 9)
        #expect(
            PermessageDeflate.negotiate(["\(bad), permessage-deflate; server_max_window_bits=9, permessage-deflate"])
                == agreement)
        #expect(PermessageDeflate.negotiate([bad, "x, permessage-deflate; server_max_window_bits=9"]) == agreement)
        #expect(PermessageDeflate.negotiate([]) == nil)
    }

    @Test("The answer says that no window is kept, and repeats the one that was asked for")
    func answer() {
        #expect(
            PermessageDeflate().answer
                == "permessage-deflate; server_no_context_takeover; client_no_context_takeover")
        #expect(PermessageDeflate(serverMaximumWindowBits: 8).answer.hasSuffix("; server_max_window_bits=8"))
    }
}
