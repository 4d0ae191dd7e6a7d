import Foundation
import Testing

@testable import Channels

@Suite("A JSON value")
struct JSONValueTests {
    private func isValue(_ text: String) -> Bool { Array(text.utf8).withUnsafeBytes { RequestReader.isJSONValue($0) } }

    @Test(
        "is what the grammar allows",
        arguments: [
            "0", "-0", "-1", "10", "1.5", "1e5", "1E+5", "1e-05", "0.0e0", "true", "false", "null", "\"\"", "[]", "{}",
            "[ ]", "{ }", "[1,2]", " [ 1 , 2 ] ", #"{"a":{"b":[{}]}}"#, #""\"\\\/\b\f\n\r\t\u00Ff""#, #""\ud800""#,
            #"{"a":1,"a":2}"#,
        ])
    func good(text: String) { #expect(isValue(text)) }

    @Test(
        "is nothing else",
        arguments: [
            "", " ", "01", "-", "+1", "1.", ".5", "1e", "1e+", "0x1", "NaN", "Infinity", "tru", "True", "nul", "\"",
            "\"\\\"",
            "\"\\x\"", "\"\\u12g4\"", "\"\\u123", "\"\t\"", "[", "]", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "{",
            "{1:2}",
            "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{\"a\":1 \"b\":2}", "{\"a\",1}", "[}", "{]", "[1}", "1 2", "//",
            "'a'",
        ])
    func bad(text: String) { #expect(!isValue(text)) }

    @Test func `is nested 64 levels deep at most, and a million brackets are refused without a crash`() {
        func nested(_ depth: Int) -> String {
            String(repeating: "[", count: depth) + String(repeating: "]", count: depth)
        }
        #expect(isValue(nested(64)))
        #expect(!isValue(nested(65)))
        #expect(!isValue(nested(1_000_000)))
        #expect(!isValue(String(repeating: "{\"a\":", count: 1_000_000)))
    }

    @Test func `of 16 MiB is walked over`() {
        #expect(isValue("\"" + String(repeating: "é", count: 8 << 20) + "\""))
        #expect(!isValue("\"" + String(repeating: "é", count: 8 << 20)))
    }

    @Test func `made at random is taken as Foundation takes it`() {
        var generator = Seeded(seed: 42)
        let pieces = [
            "{", "}", "[", "]", ",", ":", "\"a\"", "\"\\n\"", "1", "-0", "1.5e-3", "true", "null", " ", "\"", "\\", "0",
            ".",
        ]
        var accepted = 0
        for _ in 0..<20_000 {
            let text = (0..<Int.random(in: 1...7, using: &generator)).map { _ in
                pieces.randomElement(using: &generator)!
            }.joined()
            let theirs = (try? JSONSerialization.jsonObject(with: Data(text.utf8), options: .fragmentsAllowed)) != nil
            #expect(isValue(text) == theirs, "\(text)")
            if theirs { accepted += 1 }
        }
        #expect(accepted > 100)
    }
}

@Suite("Text that is written")
struct MessageTextTests {
    @Test func `reads as what it was`() throws {
        var generator = Seeded(seed: 3)
        for _ in 0..<500 {
            let scalars = (0..<Int.random(in: 0...40, using: &generator)).compactMap { _ in
                Unicode.Scalar(UInt32.random(in: 0...0x2FF, using: &generator))
            }
            let string = String(String.UnicodeScalarView(scalars))
            var text = MessageText()
            text.append(string: string)
            let read = try JSONSerialization.jsonObject(with: Data(text.bytes), options: .fragmentsAllowed)
            #expect(read as? String == string)
            text.bytes.withUnsafeBytes { bytes in
                #expect(JSONString(range: 1..<(bytes.count - 1), isEscaped: true).text(in: bytes) == string)
            }
        }
    }

    @Test(arguments: [0, 9, 10, 12_345, UInt64.max]) func `has numbers in decimal`(number: UInt64) {
        var text = MessageText()
        text.append(number)
        #expect(String(decoding: text.bytes, as: UTF8.self) == String(number))
    }

    @Test func `has surrogate pairs read as one character`() {
        Array(#"\ud83c\udf89 \u00e9\/"#.utf8).withUnsafeBytes { bytes in
            let string = JSONString(range: 0..<bytes.count, isEscaped: true)
            #expect(string.text(in: bytes) == "🎉 é/")
            #expect(!string.hasLoneSurrogate(in: bytes))
        }
        Array(#"\udf89\ud83c"#.utf8).withUnsafeBytes { bytes in
            #expect(JSONString(range: 0..<bytes.count, isEscaped: true).hasLoneSurrogate(in: bytes))
        }
    }
}
