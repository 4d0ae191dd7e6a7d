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
            ["limits", "a=1", "b"], ["limits", "a=1", "a=2"], ["history", "x", "--limit", "0"],
            ["presence", "x", "--cluster"], ["nodes", "x"], ["status", "--cluster"],
            ["why", "ada", "--user", "bob"], ["why", "10.0.0.1", "--ip", "10.0.0.2"],
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
        arguments: [["status"], ["nodes"], ["list"], ["show", "x"], ["kick", "x"], ["broadcast", "x"], ["drain"]])
    func globalOptions(_ command: [String]) throws {
        let arguments = command + ["--socket", "/x", "--json", "--no-legend", "-q"]
        #expect(throws: Never.self) { try WSCtl.parseAsRoot(arguments) }
    }

    @Test(
        "asks all nodes with --cluster, and else says nothing that an older daemon would not know",
        arguments: [["list"], ["show", "x"], ["kick", "x"], ["broadcast", "x"], ["channels"], ["why", "x"]])
    func cluster(_ command: [String]) throws {
        for (arguments, parameter) in [(command, nil), (command + ["--cluster"], true)] as [([String], Bool?)] {
            let parsed = try WSCtl.parseAsRoot(arguments)
            let nodes = try #require(Mirror(reflecting: parsed).descendant("_nodes") as? OptionGroup<ClusterOptions>)
            #expect(nodes.wrappedValue.parameter == parameter)
        }
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
    func completions(_ shell: String) throws {
        let script = try #require(try ShellCompletion.answer(["--generate-completion-script", shell]))
        #expect(script.contains("---complete \(shell)"))
        #expect(try ShellCompletion.answer(["--generate-completion-script=\(shell)"]) == script)
        #expect(try ShellCompletion.answer(["broadcast", "--", "--generate-completion-script", shell]) == nil)
    }

    @Test("asks for a script of a shell that there is")
    func noCompletions() {
        #expect(throws: Failure.self) { try ShellCompletion.answer(["--generate-completion-script", "csh"]) }
    }

    @Test("knows what may stand at its end")
    func completer() throws {
        func words(_ words: [String], _ current: String) -> [String]? {
            guard case .words(let candidates)? = Completer(words: words, current: current)?.answer else { return nil }
            return candidates.map(\.text)
        }
        #expect(words([], "li") == ["list", "limits"])
        #expect(words(["--json", "help"], "dr") == ["drain"])
        #expect(words(["top", "--order"], "m") == ["messagesIn", "messagesOut"])
        #expect(words(["top"], "--order=i") == ["--order=idle"])
        #expect(words(["top", "--order", "idle"], "--o") == [])
        #expect(words(["monitor", "--kind", "close"], "--k") == ["--kind"])
        #expect(words(["profile"], "") == ["cpu", "stacks", "heap"])
        #expect(words(["profile", "--"], "--") == [])
        #expect(words(["drain"], "--w") == ["--wait"])
        #expect(Completer(words: ["drain", "--socket"], current: "/r")?.answer == .file)
        #expect(Completer(words: ["frobnicate"], current: "")?.answer == nil)
    }
}
