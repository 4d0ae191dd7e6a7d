import Glibc
import Testing

@testable import wsctl

@Suite("A table")
struct TableTests {
    /// What is written to a table of two columns, page by page.
    private func text(
        _ pages: [[[String]]], width: Int? = nil, legend: Bool = true, color: Bool = false
    ) throws -> String {
        var ends: [CInt] = [0, 0]
        try #require(pipe(&ends) == 0)
        let output = Output(descriptor: ends[1])
        var table = Table(
            columns: [("NAME", .left), ("N", .right), ("REST", .left)], terminalWidth: width, hasLegend: legend,
            hasColor: color)
        for page in pages { try table.write(page, to: output) }
        try output.flush()
        close(ends[1])
        defer { close(ends[0]) }
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = read(ends[0], &bytes, bytes.count)
        return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    }

    @Test("is as wide as its titles and the first rows need; a wider value later pushes its own line only")
    func columns() throws {
        let text = try text([
            [["a", "1", "x"], ["long name", "22", "y"]],
            [["an even longer name", "3", "z"], ["b", "4", ""]],
        ])
        #expect(
            text == """
                NAME        N  REST
                a           1  x
                long name  22  y
                an even longer name   3  z
                b           4

                """)
    }

    @Test("has no titles when they aren't wanted, and bold ones on a terminal")
    func legend() throws {
        #expect(try text([[["a", "1", "x"]]], legend: false) == "a  1  x\n")
        #expect(try text([[["a", "1", "x"]]], color: true).hasPrefix("\u{1b}[1mNAME  N  REST\u{1b}[0m\n"))
    }

    @Test("is cut at the terminal's edge, and nowhere else")
    func truncation() throws {
        let row = ["a", "1", String(repeating: "x", count: 300)]
        #expect(try text([[row]], width: 20, legend: false) == "a  1  xxxxxxxxxxxxx…\n")
        #expect(try text([[row]], legend: false).utf8.count > 300)
    }

    @Test("says that its reader has gone rather than ending the process")
    func readerGone() throws {
        var ends: [CInt] = [0, 0]
        try #require(pipe(&ends) == 0)
        defer { close(ends[1]) }
        close(ends[0])
        let before = signal(SIGPIPE, SIG_IGN)
        defer { signal(SIGPIPE, before) }
        let output = Output(descriptor: ends[1])
        try output.write(line: "x")
        #expect(throws: Output.ReaderGone.self) { try output.flush() }
    }
}
