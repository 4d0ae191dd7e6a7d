import Testing

@testable import wsctl

@Suite("A line of JSON")
struct JSONLineTests {
    @Test("escapes DEL and C1 in JSON too, and means the same")
    func json() throws {
        let line = try JSONLine.bytes(["text": "\u{1b}\u{9b}\u{7f}ä¢\u{80}"])
        #expect(String(decoding: line, as: UTF8.self) == #"{"text":"\u001b\u009b\u007fä¢\u0080"}"#)
    }
}
