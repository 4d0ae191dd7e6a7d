import ArgumentParser
import Control
import Testing

@testable import wsctl

@Suite("A command line")
struct CommandLineTests {
    @Test(
        "that can't be meant ends with 64",
        arguments: [
            ["kick"], ["kick", "--all", "0.1.2"], ["kick", "--all", "--channel", "x"],
            ["kick", "--all", "--code", "1005"],
            ["kick", "--all", "--code", "abc"], ["kick", "--all", "--reason", String(repeating: "x", count: 124)],
            ["list", "--ip", "here"], ["list", "0.1.2"], ["show"], ["show", "a", "b"], ["broadcast"], ["frobnicate"],
            ["status", "--nope"], ["list", "--json=yes"],
        ])
    func usage(_ arguments: [String]) {
        do {
            _ = try WSCtl.parseAsRoot(arguments)
            Issue.record("taken: \(arguments)")
        } catch {
            #expect(WSCtl.exitCode(for: error).rawValue == 64)
        }
    }

    @Test("may have the options of every command in front of it")
    func optionsInFront() {
        #expect(
            WSCtl.optionsBehindCommand(["--socket", "/a", "--json", "list", "--ip", "::1"])
                == ["list", "--socket", "/a", "--json", "--ip", "::1"])
        #expect(WSCtl.optionsBehindCommand(["--socket=/a", "status"]) == ["status", "--socket=/a"])
        for untouched in [["--version"], ["--socket"], ["--json", "--help"], ["list", "--json"], []] {
            #expect(WSCtl.optionsBehindCommand(untouched) == untouched)
        }
    }

    @Test(
        "takes the options of every command with each",
        arguments: [["status"], ["list"], ["show", "x"], ["kick", "x"], ["broadcast", "x"], ["drain"]])
    func globalOptions(_ command: [String]) throws {
        let arguments = command + ["--socket", "/x", "--json", "--no-legend", "-q"]
        #expect(throws: Never.self) { try WSCtl.parseAsRoot(arguments) }
    }

    @Test("selects what its options say")
    func selection() throws {
        let arguments = ["kick", "1", "2", "--ip", "10.0.0.0/8", "--endpoint", "/ws", "--channel", "c", "--user", "u"]
        let kick = try #require(WSCtl.parseAsRoot(arguments) as? KickCommand)
        #expect(
            kick.selection.filter(ids: kick.ids, all: kick.all)
                == ConnectionFilter(ids: ["1", "2"], ip: "10.0.0.0/8", endpoint: "/ws", channel: "c", user: "u"))
        #expect(kick.code == 1008)
    }

    @Test("may name standard input, and a message that looks like an option")
    func messages() throws {
        #expect(try #require(WSCtl.parseAsRoot(["broadcast", "-"]) as? BroadcastCommand).message == "-")
        #expect(try #require(WSCtl.parseAsRoot(["broadcast", "--", "--all"]) as? BroadcastCommand).message == "--all")
    }

    @Test("asks for a completion script", arguments: ["bash", "zsh", "fish"])
    func completions(_ shell: String) {
        do {
            _ = try WSCtl.parseAsRoot(["--generate-completion-script", shell])
            Issue.record("no script")
        } catch {
            #expect(WSCtl.exitCode(for: error) == .success)
            #expect(WSCtl.message(for: error).contains("broadcast"))
        }
    }
}
