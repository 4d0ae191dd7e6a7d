import ArgumentParser
import Glibc

/// The two things that shells ask `wsctl` for: a script once, and what to offer each time Tab is pressed.
enum ShellCompletion {
    /// What the scripts call, with the shell's name behind it. No option of anything: people never type it.
    private static let request = "---complete"
    private static let scriptOption = "--generate-completion-script"

    /// What to print for a command line that comes from a shell; nil for every other.
    static func answer(_ arguments: [String]) throws(Failure) -> String? {
        if arguments.first == request { return candidates(Array(arguments.dropFirst())) }
        let options = arguments.prefix { $0 != "--" }
        for (place, option) in options.enumerated() {
            if option.hasPrefix("\(scriptOption)=") {
                return try script(String(option.dropFirst(scriptOption.count + 1)))
            }
            guard option == scriptOption else { continue }
            return try script(place + 1 < options.count ? options[place + 1] : usersShell)
        }
        return nil
    }

    /// Not ArgumentParser's own scripts: the one for bash has the shell expand what comes back, and a client that calls a
    /// channel `$(reboot)` would only have to wait for an administrator to press Tab.
    private static func script(_ shell: String) throws(Failure) -> String {
        guard let text = ShellScript.all[shell] else {
            let known = ShellScript.all.keys.sorted().joined(separator: ", ")
            throw Failure("no completion for '\(shell)'", advice: "There is some for \(known).", exitCode: EX_USAGE)
        }
        return text
    }

    private static var usersShell: String {
        let path = getenv("SHELL").map { String(cString: $0) } ?? ""
        return String(path.split(separator: "/").last ?? "")
    }

    /// The lines for a script: what kind of thing is wanted, then candidates, where the shell shows them with a tab and
    /// what each means. Empty where there is nothing to say.
    private static func candidates(_ arguments: [String]) -> String {
        let rest = Array(arguments.dropFirst())
        switch arguments.first {
        case "bash":
            guard rest.count == 2, let line = BashLine(rest[0], replacing: rest[1]) else { return "" }
            return lines(Array(line.words.dropFirst()), line.current) { line.insertion($0.text) }
        case "zsh":
            return lines(Array(rest.dropLast()), rest.last ?? "") { candidate in
                // The script sets the option before a value aside.
                let text = candidate.text
                let value = text.firstIndex(of: "=").map { String(text[text.index(after: $0)...]) }
                let isValue = text.hasPrefix("--") && value != nil
                return described(isValue ? value ?? "" : text, candidate.help)
            }
        case "fish":
            return lines(Array(rest.dropLast()), rest.last ?? "") { described($0.text, $0.help) }
        default: return ""
        }
    }

    private static func lines(
        _ words: [String], _ current: String, _ line: (Completer.Candidate) -> String?
    ) -> String {
        switch Completer(words: words, current: current)?.answer {
        case .file: "file\n"
        case .words(let candidates): (["words"] + candidates.compactMap(line)).map { "\($0)\n" }.joined()
        case nil: ""
        }
    }

    private static func described(_ text: String, _ help: String?) -> String {
        help.map { "\(text)\t\($0)" } ?? text
    }
}
