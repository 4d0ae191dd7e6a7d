import Terminal

/// The reason why a command failed: the message for standard error, and the exit code.
struct Failure: Error, Hashable {
    /// The error, naming what failed; nil if the exit code is enough.
    let message: String?
    /// Advice on how to fix it.
    let advice: String?
    /// The exit code, from sysexits.h where it has one.
    let exitCode: Int32
    /// Whether there is no daemon, or it ended before it answered.
    let isAbsence: Bool

    /// A failure with a message.
    init(_ message: String?, advice: String? = nil, exitCode: Int32 = 1, isAbsence: Bool = false) {
        self.message = message
        self.advice = advice
        self.exitCode = exitCode
        self.isAbsence = isAbsence
    }

    /// The errors, one per line. The daemon's prefix "wsctl" for a value that was set is removed, because the program's
    /// name is printed anyway.
    private var messages: [String] {
        let name = "wsctl: "
        return message?.split(separator: "\n").map { String($0.hasPrefix(name) ? $0.dropFirst(name.count) : $0) } ?? []
    }

    /// The lines for standard error.
    var lines: [String] {
        guard !messages.isEmpty else { return [] }
        return messages.map { "wsctl: \(TerminalText.escape($0))" } + (advice.map { [TerminalText.escape($0)] } ?? [])
    }

    /// The errors as JSON for a program, in addition to standard error; nil if the exit code is enough.
    var json: [String: [String]]? { messages.isEmpty ? nil : ["errors": messages] }

    /// Prints the failure to standard error.
    func report() {
        for line in lines { Output.complain(line) }
    }
}

/// The exit statuses, from sysexits.h where it has one: the same for every command, and in the help of each.
enum ExitStatus {
    /// The section that ends the help of each command.
    static let help = """


        EXIT STATUS
          0   success
          1   the command failed, or nothing matched
          64  wrong usage
          69  the daemon can't be reached, doesn't answer, or ended meanwhile
          77  not permitted
          78  the configuration or a key is invalid
        """
}
