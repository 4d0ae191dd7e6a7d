import Testing

@testable import Channels

@Suite("Text that becomes a JSON string")
struct EscapingTests {
    @Test(arguments: UInt64(1)...20)
    func `escapes each byte that has to be escaped, and no other, wherever it stands`(seed: UInt64) {
        var random = Seeded(seed: seed)
        for _ in 0..<200 {
            let isRare = Bool.random(using: &random)
            let scalars = (0..<Int.random(in: 0...60, using: &random)).map { _ -> Unicode.Scalar in
                guard isRare, Int.random(in: 0..<20, using: &random) > 0 else {
                    return Unicode.Scalar(UInt8.random(in: 0...0xFF, using: &random))
                }
                return "x"
            }
            var string = ""
            string.unicodeScalars.append(contentsOf: scalars)
            var expected = "\""
            for scalar in scalars {
                switch scalar {
                case "\"", "\\": expected += "\\\(scalar)"
                case "\n": expected += "\\n"
                case "\r": expected += "\\r"
                case "\t": expected += "\\t"
                case "\u{0}"..."\u{1F}":
                    let digits = String(scalar.value, radix: 16)
                    expected += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                default: expected.unicodeScalars.append(scalar)
                }
            }
            expected += "\""
            var text = MessageText()
            text.append(string: string)
            #expect(text.bytes == Array(expected.utf8), "seed \(seed)")
            #expect(MemberReader.string(of: text.bytes).map { Array($0.utf8) } == Array(string.utf8), "seed \(seed)")
        }
    }
}
