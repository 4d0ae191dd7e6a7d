import Control
import Testing

@Suite("A close reason")
struct CloseReasonTests {
    @Test("has a code that an administrator can mean", arguments: [1000, 1001, 1008, 1011, 1012, 1013, 3000, 4999])
    func valid(_ code: Int) throws {
        #expect(try CloseReason(code: code, text: "").code == UInt16(code))
    }

    @Test(
        "has no other code",
        arguments: [
            Int.min, -1, 0, 999, 1002, 1003, 1005, 1006, 1007, 1009, 1010, 1014, 1015, 2999, 5000, 65_536 + 1000,
        ])
    func invalid(_ code: Int) {
        #expect(throws: ControlError.invalidCloseCode(code)) { try CloseReason(code: code, text: "") }
    }

    @Test("has at most as many bytes as a close frame has room for; an umlaut takes two")
    func length() throws {
        #expect(try CloseReason(code: 1000, text: String(repeating: "x", count: 123)).text.utf8.count == 123)
        #expect(throws: ControlError.reasonTooLong(byteCount: 124, limit: 123)) {
            try CloseReason(code: 1000, text: String(repeating: "ü", count: 62))
        }
    }
}
