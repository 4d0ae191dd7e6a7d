import ArgumentParser
import Control
import Testing

@testable import wsbench

@Suite("A command line of wsbench")
struct CommandLineTests {
    private static let url = "ws://127.0.0.1:8080/ws"

    @Test(
        "that can't be meant ends with 64",
        arguments: [
            ["fanout"], ["frobnicate", url], ["fanout", "http://localhost/"], ["fanout", "wss://127.0.0.1/ws"],
            ["fanout", "-n", "0", url], ["fanout", "--size", "47", url], ["fanout", "--size", "65MiB", url],
            ["fanout", "--publishers", "0", url], ["fanout", "--stalled", "101", url],
            ["fanout", "--window", "0", url],
            ["fanout", "--rate", "0", url], ["fanout", "--duration", "10", url], ["fanout", "--duration", "0s", url],
            ["fanout", "--receive-batch", "0", url], ["fanout", "--threads", "0", url],
            ["fanout", "--sources", "0", url], ["fanout", "--sources", "2", "--source", "127.0.0.1", url],
            ["fanout", "--header", "no colon", url], ["fanout", "--header", "Host: other", url],
            ["fanout", "--origin", "a\nb", url], ["fanout", "--pid", "0", url], ["fanout", "--timeout", "0s", url],
            ["echo", "--window", "2", url], ["idle", "--burst", "20", url], ["idle", "--burst", "47x1", url],
            ["storm", "--probe", "-1", url], ["storm", "--reconnect", "x", url],
        ])
    func usage(_ arguments: [String]) {
        do {
            _ = try WSBench.parseAsRoot(arguments)
            Issue.record("taken: \(arguments)")
        } catch {
            #expect(WSBench.exitCode(for: error).rawValue == 64)
        }
    }

    @Test("that names wss says why not, and what instead")
    func tls() {
        #expect {
            try WSBench.parseAsRoot(["fanout", "wss://127.0.0.1/ws"])
        } throws: { error in
            let message = WSBench.message(for: error)
            return message.contains("wss://127.0.0.1/ws") && message.contains("no TLS") && message.contains("ws://")
        }
    }

    @Test("sets what it says")
    func options() throws {
        let arguments = [
            "fanout", "-n", "7", "--size", "1KiB", "--publishers", "3", "--rate", "250", "--duration", "1m30s",
            "--header", "A: b", "--header", "C:d", "--receive-batch", "64KiB", Self.url, "ws://[::1]:81/x?y=z",
        ]
        let command = try #require(WSBench.parseAsRoot(arguments) as? FanoutCommand)
        #expect(command.common.connections == 7)
        #expect(command.common.size.bytes == 1024)
        #expect(command.publishers == 3)
        #expect(command.timing.rate?.perSecond == 250)
        #expect(command.timing.duration.seconds == 90)
        #expect(command.common.header == [HeaderField(name: "A", value: "b"), HeaderField(name: "C", value: "d")])
        #expect(command.receiveBatch?.bytes == 65536)
        #expect(command.common.urls.count == 2)
    }

    @Test("prints the package's version")
    func version() { #expect(WSBench.version == WSD.version) }
}
