import Terminal

/// Why a command didn't do what it was asked: the message for stderr, and the exit code.
struct Failure: Error, Hashable {
    /// What went wrong, naming the thing; nil when the exit code says it all.
    let message: String?
    /// What to do about it.
    let advice: String?
    /// The exit code, from sysexits.h where it has one.
    let exitCode: Int32

    /// A failure with a message.
    init(_ message: String?, advice: String? = nil, exitCode: Int32 = 1) {
        self.message = message
        self.advice = advice
        self.exitCode = exitCode
    }

    /// What went wrong, one thing a line. The daemon names this program where a value that it set is wrong; that is said
    /// anyway.
    private var messages: [String] {
        let name = "wsctl: "
        return message?.split(separator: "\n").map { String($0.hasPrefix(name) ? $0.dropFirst(name.count) : $0) } ?? []
    }

    /// The lines for stderr.
    var lines: [String] {
        guard !messages.isEmpty else { return [] }
        return messages.map { "wsctl: \(TerminalText.escape($0))" } + (advice.map { [TerminalText.escape($0)] } ?? [])
    }

    /// The same for a program, beside what is said on stderr: one object; nil when the exit code says it all.
    var json: [String: [String]]? { messages.isEmpty ? nil : ["errors": messages] }

    /// Says it on stderr.
    func report() {
        for line in lines { Output.complain(line) }
    }
}
