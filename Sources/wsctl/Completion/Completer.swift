import ArgumentParser

/// Finds the words that can be typed at the cursor. One implementation for all shells, so that all of them know the
/// same, and none of them has to parse names chosen by strangers with its own rules.
struct Completer {
    /// A word that can stand at the cursor.
    struct Candidate: Equatable {
        /// The whole word.
        var text: String
        /// Its meaning; nil if the word explains itself.
        var help: String?
    }

    /// The answer to a shell.
    enum Answer: Equatable {
        /// The name of a file, which the shell completes best itself.
        case file
        /// One of these words; empty if there is nothing to offer.
        case words([Candidate])
    }

    /// The words before the word at the cursor, without the program's name and without quotes.
    let words: [String]
    /// The part of the word at the cursor that stands before it.
    let current: String

    private let root: CommandOutline
    private var command: CommandOutline
    /// The option whose value is expected next.
    private var awaited: CommandOutline.Argument?
    private var positionalCount = 0
    /// Whether `--` was seen: no later word is an option.
    private var isTerminated = false
    private var used: [String] = []

    /// Reads the words before the cursor; nil if they name no command.
    init?(words: [String], current: String) {
        guard let root = CommandOutline.wsctl() else { return nil }
        self.words = words
        self.current = current
        self.root = root
        command = root
        for word in words where !read(word) { return nil }
    }

    /// The words that can be typed at the cursor.
    var answer: Answer {
        if let awaited { return values(of: awaited, beginning: current, head: "") }
        if !isTerminated, current.hasPrefix("--"), let end = current.firstIndex(of: "=") {
            guard let option = option(String(current[..<end])), option.kind == .option else { return .words([]) }
            let head = String(current[...end])
            return values(of: option, beginning: String(current.dropFirst(head.count)), head: head)
        }
        if !isTerminated, current.hasPrefix("-") { return .words(unusedOptions) }
        if let commands = command.commandName == "help" ? root.subcommands : command.subcommands {
            return .words(
                commands.map { Candidate(text: $0.commandName, help: $0.abstract) }.filter {
                    $0.text.hasPrefix(current)
                })
        }
        let positionals = command.positionals
        if positionalCount < positionals.count {
            return values(of: positionals[positionalCount], beginning: current, head: "")
        }
        if let last = positionals.last, last.isRepeating { return values(of: last, beginning: current, head: "") }
        return .words(current.isEmpty && !isTerminated ? unusedOptions : [])
    }

    /// Takes a word before the cursor; false if there is no such command.
    private mutating func read(_ word: String) -> Bool {
        if awaited != nil {
            awaited = nil
        } else if !isTerminated, word == "--" {
            isTerminated = true
        } else if !isTerminated, word.hasPrefix("-"), word != "-" {
            used.append(String(word.prefix { $0 != "=" }))
            if let option = option(word), option.kind == .option { awaited = option }
        } else if command.subcommands != nil {
            guard let next = command.subcommand(word) else { return false }
            command = next
        } else {
            positionalCount += 1
        }
        return true
    }

    /// The options that can be given here; before a command, those that every command has.
    private var options: [CommandOutline.Argument] {
        command.options + (command.subcommands == nil ? [] : root.subcommand("status")?.options ?? [])
    }

    private func option(_ name: String) -> CommandOutline.Argument? { options.first { $0.isCalled(name) } }

    private var unusedOptions: [Candidate] {
        var seen: Set<String> = []
        return options.filter { option in option.isRepeating || !used.contains { option.isCalled($0) } }
            .compactMap { option in
                // The long name explains the option.
                guard let names = option.names?.map(\.text), let name = names.max(by: { $0.count < $1.count }),
                    name.hasPrefix(current), seen.insert(name).inserted
                else { return nil }
                return Candidate(text: name, help: option.abstract)
            }
    }

    private func values(of argument: CommandOutline.Argument, beginning prefix: String, head: String) -> Answer {
        let source = argument.completionKind
        if source?.file != nil { return .file }
        let values = source?.list?.values ?? (source?.custom == nil ? [] : asked(argument, prefix))
        return .words(values.filter { $0.hasPrefix(prefix) }.map { Candidate(text: head + $0) })
    }

    /// Runs the argument's own completion function, one of ``Completion``, in the way that ArgumentParser provides.
    private func asked(_ argument: CommandOutline.Argument, _ prefix: String) -> [String] {
        let positionals = command.positionals
        let index = min(positionalCount, positionals.count - 1)
        let name = argument.kind == .positional ? "positional@\(index)" : argument.names?.first?.text ?? ""
        let request = [
            "---completion", command.commandName, "--", name, "\(words.count)", "\(prefix.count)",
        ]
        do {
            _ = try WSCtl.parseAsRoot(request + words + [prefix])
            return []
        } catch {
            guard WSCtl.exitCode(for: error) == .success else { return [] }
            return WSCtl.message(for: error).split(separator: "\n").map(String.init)
        }
    }
}
