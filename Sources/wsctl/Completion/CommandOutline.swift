import ArgumentParser
import FoundationEssentials

/// A command with its arguments and options, as ArgumentParser describes it; completion is based on it.
struct CommandOutline: Decodable {
    /// An argument, an option or a flag.
    struct Argument: Decodable {
        /// One of the names of an option or a flag.
        struct Name: Decodable {
            private let kind: String
            private let name: String

            /// The name as it is typed.
            var text: String { (kind == "long" ? "--" : "-") + name }
        }

        /// The source of an argument's values; empty if none is known.
        struct Source: Decodable {
            /// A fixed list of values.
            struct Choice: Decodable { let values: [String] }
            /// A kind of source that has no parts here.
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

        /// Whether this is one of its names.
        func isCalled(_ word: String) -> Bool { (names ?? []).contains { $0.text == word } }
    }

    let commandName: String
    let abstract: String?
    let arguments: [Argument]?
    let subcommands: [CommandOutline]?

    /// The positional arguments.
    var positionals: [Argument] { (arguments ?? []).filter { $0.kind == .positional } }

    /// The options and flags of the command.
    var options: [Argument] { (arguments ?? []).filter { $0.kind != .positional } }

    /// The subcommand of this name.
    func subcommand(_ name: String) -> CommandOutline? { subcommands?.first { $0.commandName == name } }

    /// The outline of wsctl with all its commands.
    static func wsctl() -> CommandOutline? {
        struct Dump: Decodable { let command: CommandOutline }
        return try? JSONDecoder().decode(Dump.self, from: Data(WSCtl._dumpHelp().utf8)).command
    }
}
