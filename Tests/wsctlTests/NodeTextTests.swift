import ArgumentParser
import Base
import Control
import Testing

@testable import wsctl

@Suite("A node as a row")
struct NodeTextTests {
    private var node = NodeRow(
        name: "a\u{1b}", id: "1000000000001", isThis: false, version: "0.1.0", addresses: [],
        since: Timestamp(millisecondsSinceEpoch: 0))

    @Test("has a value in each column, and no figures if it did not answer")
    func silent() {
        #expect(
            NodeText.row(node) == [
                "", #"a\x1b"#, "1000000000001", "-", "0.1.0", "silent", "-", "-", "-", "-", "-",
                "1970-01-01T00:00:00.000Z",
            ])
        #expect(NodeText.columns.count == NodeText.row(node).count)
    }

    @Test("has figures that a person can read")
    func figures() {
        var node = node
        node.isThis = true
        node.addresses = ["[::]:8080", "/run/ws"]
        node.state = .running
        node.connections = 120_000
        node.messagesInPerSecond = 0.6
        node.messagesOutPerSecond = 1_234_567
        node.load = 1.054
        node.lagSeconds = 0.00151
        #expect(
            NodeText.row(node).dropFirst(3).dropLast() == [
                "[::]:8080,/run/ws", "0.1.0", "running", "120000", "1", "1.2M", "1.05", "1.5ms",
            ])
        node.notReady = "full"
        #expect(NodeText.row(node)[5] == "not ready")
        node.lagSeconds = -.infinity
        node.load = .nan
        #expect(NodeText.row(node)[9...10] == ["0.00", "0.0ms"])
    }

    @Test("names the nodes that did not answer, each once")
    func names() throws {
        var options = try GlobalOptions.parse([])
        #expect(ClusterOptions.failure(nil, options) == nil && ClusterOptions.failure([], options) == nil)
        let failure = try #require(ClusterOptions.failure(["b", "a", "b"], options))
        #expect(failure.lines.first == "wsctl: no answer from a, b" && failure.exitCode == 1)
        options.quiet = true
        #expect(ClusterOptions.failure(["a"], options)?.lines == [])
    }
}
