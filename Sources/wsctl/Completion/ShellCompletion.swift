import ArgumentParser
import Glibc

/// The two requests of a shell to `wsctl`: the script, once, and the candidates, each time Tab is pressed.
enum ShellCompletion {
    /// The word that the scripts call, followed by the shell's name. It is not an option, because people never type it.
    private static let request = "---complete"
    private static let scriptOption = "--generate-completion-script"

    /// The output for a command line that comes from a shell; nil for any other.
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

    /// The script for a shell. ArgumentParser's own script for bash is not used: it has the shell expand the
    /// candidates, so a client that names a channel `$(reboot)` would only have to wait until an administrator presses
    /// Tab.
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

    /// The lines for a script: first the kind of answer, then the candidates, each with a tab and its meaning if the
    /// shell shows it. Empty if there is nothing to offer.
    private static func candidates(_ arguments: [String]) -> String {
        let rest = Array(arguments.dropFirst())
        switch arguments.first {
        case "bash":
            guard rest.count == 2, let line = BashLine(rest[0], replacing: rest[1]) else { return "" }
            return lines(Array(line.words.dropFirst()), line.current) { line.insertion($0.text) }
        case "zsh":
            return lines(Array(rest.dropLast()), rest.last ?? "") { candidate in
                // The script splits off the option before a value.
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
