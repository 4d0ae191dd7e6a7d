import ArgumentParser
import FoundationEssentials

/// A command with what may stand behind it, as ArgumentParser describes it: what completion goes by.
struct CommandOutline: Decodable {
    /// An argument, an option or a flag.
    struct Argument: Decodable {
        /// One of its names.
        struct Name: Decodable {
            private let kind: String
            private let name: String

            /// As it is typed.
            var text: String { (kind == "long" ? "--" : "-") + name }
        }

        /// Where its values come from; nothing in it where nobody knows.
        struct Source: Decodable {
            /// One of these.
            struct Choice: Decodable { let values: [String] }
            /// Something that has no parts here.
            struct Mark: Decodable {}

            let list: Choice?
            let file: Mark?
            let custom: Mark?
        }

        enum Kind: String, Decodable { case positional, option, flag }

        let kind: Kind
        let names: [Name]?
        let abstract: String?
        let isRepeating: Bool
        let completionKind: Source?

        /// Whether it is called so.
        func isCalled(_ word: String) -> Bool { (names ?? []).contains { $0.text == word } }
    }

    let commandName: String
    let abstract: String?
    let arguments: [Argument]?
    let subcommands: [CommandOutline]?

    /// The arguments that go by their places.
    var positionals: [Argument] { (arguments ?? []).filter { $0.kind == .positional } }

    /// The options and flags that it has.
    var options: [Argument] { (arguments ?? []).filter { $0.kind != .positional } }

    /// The command of this name.
    func subcommand(_ name: String) -> CommandOutline? { subcommands?.first { $0.commandName == name } }

    /// All of wsctl.
    static func wsctl() -> CommandOutline? {
        struct Dump: Decodable { let command: CommandOutline }
        return try? JSONDecoder().decode(Dump.self, from: Data(WSCtl._dumpHelp().utf8)).command
    }
}
