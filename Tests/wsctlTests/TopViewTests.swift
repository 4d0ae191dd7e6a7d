import Control
import Operations
import Testing

@testable import wsctl

@Suite("The view of top")
struct TopViewTests {
    @Test(
        "is changed by keys, and by none that only ends like one",
        arguments: [
            ("i", "i"), ("iq", "iq"), ("\u{1b}[D", ""), ("i\u{1b}[1;5CQ\u{1b}ODL", "iQL"), ("\u{1b}", ""),
            ("\u{1b}x+", "+"),
        ])
    func keys(_ typed: String, _ expected: String) {
        var reader = KeyReader()
        #expect(String(decoding: reader.keys(in: typed.utf8), as: UTF8.self) == expected)
    }

    @Test("takes Escape by itself, and an arrow that comes in two pieces")
    func pieces() {
        var reader = KeyReader()
        #expect(reader.keys(in: [0x1b]) == [])
        #expect(reader.keys(in: [UInt8(ascii: "q")]) == [UInt8(ascii: "q")])
        #expect(reader.keys(in: [0x1b, UInt8(ascii: "[")]) == [])
        #expect(reader.keys(in: [UInt8(ascii: "D"), UInt8(ascii: "L")]) == [UInt8(ascii: "L")])
    }

    @Test("has a key for every order")
    func orders() {
        for order in ConnectionOrder.allCases {
            var view = TopView(order: order == .idle ? .bytesIn : .idle, interval: 1)
            for key in TopView.keys where key.order == order { view.press(key.key.asciiValue ?? 0) }
            #expect(view.order == order)
        }
    }

    @Test("looks neither too often nor too seldom")
    func interval() {
        var view = TopView(order: .idle, interval: 1)
        for _ in 0..<10 { view.press(UInt8(ascii: "+")) }
        #expect(view.interval == 60)
        for _ in 0..<20 { view.press(UInt8(ascii: "-")) }
        #expect(view.interval == 0.1)
    }

    @Test("says what keys do in the room there is", arguments: [0, 10, 20, 40, 80, 200])
    func shortLine(_ columns: Int) {
        let line = TopView.shortLine(columns: columns)
        #expect(line.count <= max(columns, 3))
        #expect(line.contains("?") && line.contains("q"))
    }
}
