import Broker
import Glibc
import Testing

/// The table in wsd-broker(7) that says what each broker was asked to do by the tests.
enum PromisedCases {
    /// Fails unless the manual says of a broker what its traits and the cases that are run with it say.
    ///
    /// - Parameter names: those of the cases.
    static func areInTheManual(of broker: String, _ traits: BrokerTraits, _ names: some Sequence<String>) throws {
        let run = Set(names)
        var expected = BrokerConformance.cases.map(\.testDescription).reduce(into: [String: Bool]()) {
            $0[$1] = run.contains($1)
        }
        expected["traits: order"] = traits.ordersChannels
        expected["traits: history"] = traits.keepsHistory
        expected["traits: presence"] = traits.tracksPresence
        #expect(run.isSubset(of: expected.keys), "cases that are no more: \(run.subtracting(expected.keys))")
        let table = try column(of: broker)
        for name in Set(expected.keys).union(table.keys).sorted() where expected[name] != table[name] {
            let says = table[name].map { $0 ? "yes" : "no" } ?? "nothing"
            let done = expected[name].map { $0 ? "yes" : "no" } ?? "no such case"
            Issue.record("man/wsd-broker.7 says \(says) of \(broker), \"\(name)\"; the tests say \(done)")
        }
    }

    /// What the table says of each case.
    private static func column(of broker: String) throws -> [String: Bool] {
        let path = "/" + #filePath.split(separator: "/").dropLast(3).joined(separator: "/") + "/man/wsd-broker.7"
        let lines = try text(path).split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
        let start = try #require(lines.firstIndex { $0.hasPrefix("asked\t") }, "\(path) has no table of cases")
        let end = try #require(lines[start...].firstIndex(of: ".TE"))
        let place = try #require(lines[start].split(separator: "\t").firstIndex { $0 == broker })
        var column: [String: Bool] = [:]
        for line in lines[(start + 1)..<end] {
            let cells = line.split(separator: "\t").map(String.init)
            try #require(place < cells.count && ["yes", "no"].contains(cells[place]), "\(line)")
            try #require(column.updateValue(cells[place] == "yes", forKey: cells[0]) == nil, "\(line) is there twice")
        }
        return column
    }

    private static func text(_ path: String) throws -> String {
        let file = try #require(fopen(path, "r"), "\(path) can't be read")
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, file)
        return String(decoding: bytes.prefix(count), as: UTF8.self)
    }
}
