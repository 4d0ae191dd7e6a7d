import Settings
import Testing

@testable import Configuration

@Suite("TOML in all its forms")
struct TOMLDocumentTests {
    @Test(
        "One value, many ways",
        arguments: [
            "[server]\nworkers = 12", "server.workers = 12", "server = { workers = 12 }",
            "\u{FEFF}[server]\nworkers = 12",
            "[server]\r\nworkers = 12\r\n", "[ server ]\n\tworkers\t=\t1_2 # twelve", "\"server\".'workers' = 0xC",
            "[\"ser\\u0076er\"]\nworkers = +12",
        ])
    func forms(text: String) throws {
        #expect(try loaded(text).configuration.server.workers == 12)
    }

    @Test("Nothing in it is nothing said", arguments: ["", "\n\n", "# a comment", "\u{FEFF}", "[server]", "\r\n"])
    func empty(text: String) throws {
        #expect(try loaded(text).configuration == Settings())
    }

    @Test("Positions count code points, after a byte order mark, CRLF and other scripts too")
    func positions() throws {
        #expect(errors("\u{FEFF}workers = 1").map { $0.prefix(6) } == ["f:1:1:"])
        #expect(errors("# é\r\n[server]\r\n  workers = -1").map { $0.prefix(7) } == ["f:3:13:"])
        #expect(errors("server = {\"é🎉\" = 1, workers = -1}").map { $0.prefix(7) } == ["f:1:11:", "f:1:31:"])
        #expect(errors("server.workers = -1").map { $0.prefix(7) } == ["f:1:18:"])
    }

    @Test(
        "What is not TOML is told where it stops being so",
        arguments: [
            ("a = ", 1), ("[server", 1), ("a = 1\na = 2", 2), ("[a]\n[a]", 2), ("a = \"x\ny = 1", 1),
            ("a = 1 b = 2", 1),
            ("a = [1,\n 2\nb = 1", 3), ("a = \"\u{0}\"", 1), ("= 1", 1), ("a = 99999999999999999999", 1),
            ("a = {b = 1,}", 1), ("\n\na = tru", 3),
        ])
    func syntaxErrors(text: String, line: Int) {
        #expect(throws: TOMLDocument.SyntaxError.self) { try TOMLDocument.parse(Array(text.utf8)) }
        let found = errors(text)
        #expect(found.count == 1)
        #expect(found.first?.hasPrefix("f:\(line):") == true)
        #expect(found.first?.contains("syntax error") == true)
    }

    @Test("Bytes that are not UTF-8 are an error, whatever they would mean")
    func invalidUTF8() {
        #expect(throws: TOMLDocument.SyntaxError.self) { try TOMLDocument.parse([0x61, 0x3D, 0x22, 0xFF, 0x22]) }
        #expect(throws: TOMLDocument.SyntaxError.self) { try TOMLDocument.parse([0xFF, 0xFE, 0x61, 0x00]) }
        #expect(throws: TOMLDocument.SyntaxError.self) { try TOMLDocument.parse([UInt8](repeating: 0, count: 100)) }
    }

    @Test("Depth without end is an error and not the end of the process")
    func depth() {
        for text in [
            "a = " + String(repeating: "[", count: 100_000), String(repeating: "a = {", count: 100_000),
            String(repeating: "a.", count: 400_000) + "a = 1", "[" + String(repeating: "a.", count: 400_000) + "a]",
        ] {
            #expect(throws: TOMLDocument.SyntaxError.self) { try TOMLDocument.parse(Array(text.utf8)) }
        }
        let deep = String(repeating: "a.", count: 500) + "a = 1"
        #expect(errors(deep).map { $0.prefix(24) } == ["f:1:1: unknown table \"a\""])
    }

    @Test("The components of a key stay apart, in the order of the text")
    func keys() throws {
        let entries = try TOMLDocument.parse(Array("z.\"b.c\".d = 1\n[a.\"room:*\"]\nx = 2\n[z.k]\n".utf8))
        #expect(entries.map(\.key) == ["z", "a"])
        guard case .table(let inZ) = entries[0].node.value, case .table(let inA) = entries[1].node.value else {
            Issue.record("both are tables")
            return
        }
        #expect(inZ.map(\.key) == ["b.c", "k"])
        #expect(inA.map(\.key) == ["room:*"])
        #expect(inA.map(\.keyPosition) == [SourcePosition(line: 2, column: 4)])
        #expect(inZ[0].keyPosition == SourcePosition(line: 1, column: 3))
    }

    @Test("Each kind of value keeps its kind")
    func kinds() throws {
        let text = "a='s'\nb=-7\nc=1.5\nd=true\ne=07:32:00\nf=1979-05-27T07:32:00Z\ng=[1, 'x']\nh={}\ni=inf"
        let values = try TOMLDocument.parse(Array(text.utf8)).map(\.node)
        #expect(
            values.map(\.description) == [
                "the string \"s\"", "the integer -7", "the float 1.5", "the boolean true", "the date or time 07:32:00",
                "the date or time 1979-05-27T07:32:00Z", "an array", "a table", "the float inf",
            ])
        #expect(values[6].position == SourcePosition(line: 7, column: 3))
    }
}
