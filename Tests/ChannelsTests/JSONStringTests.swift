import Testing

@testable import Channels

@Suite("A string in JSON")
struct JSONStringTests {
    private func with<Value>(_ written: String, _ body: (JSONString, UnsafeRawBufferPointer) -> Value) -> Value {
        Array("\"\(written)\"".utf8).withUnsafeBytes { bytes in
            body(JSONString(range: 1..<(bytes.count - 1), isEscaped: written.utf8.contains(UInt8(ascii: "\\"))), bytes)
        }
    }

    private static let texts: [(written: String, text: String)] = [
        ("", ""), ("chat", "chat"), (#"ch\u0061t"#, "chat"), (#"\u0063\u0068\u0061\u0074"#, "chat"),
        (#"\n\t\/\\\"\b\f\r"#, "\n\t/\\\"\u{8}\u{C}\r"), (#"é\u00e9€\u20ac"#, "éé€€"),
        (#"\ud83d\ude00x"#, "\u{1F600}x"), (#"\ud83dx"#, "\u{FFFD}x"), (#"\ude00\ud83d"#, "\u{FFFD}\u{FFFD}"),
        (#"\ud83d\ud83d\ude00"#, "\u{FFFD}\u{1F600}"), (#"\u0000"#, "\0"), (#"\ufffd"#, "\u{FFFD}"),
    ]

    @Test("is its text, and equal to nothing else", arguments: texts)
    func decoding(written: String, text: String) {
        with(written) { string, bytes in
            #expect(Array(string.text(in: bytes).utf8) == Array(text.utf8))
            #expect(string.byteCount(in: bytes, limit: 100) == text.utf8.count)
            for other in Self.texts {
                let isSame = text.utf8.elementsEqual(other.text.utf8)
                #expect(string.equals(other.text, in: bytes) == isSame, "\(other.text)")
            }
            #expect(!string.equals(text + "x", in: bytes))
        }
    }

    @Test("is known to have half a surrogate pair, and U+FFFD for what it is")
    func surrogates() {
        for (written, _) in Self.texts {
            let isHalf = [#"\ud83dx"#, #"\ude00\ud83d"#, #"\ud83d\ud83d\ude00"#].contains(written)
            #expect(with(written) { $0.hasLoneSurrogate(in: $1) } == isHalf, "\(written)")
        }
    }

    @Test("is decoded no further than it is asked for")
    func bounds() {
        let long = String(repeating: #"\u0041"#, count: 100_000)
        with(long) { string, bytes in
            #expect(string.text(in: bytes, limit: 5) == "AAAAA")
            #expect(string.byteCount(in: bytes, limit: 64) > 64)
            #expect(!string.equals("type", in: bytes))
        }
        with("x" + long) { string, bytes in #expect(string.byteCount(in: bytes, limit: 64) > 64) }
    }
}
