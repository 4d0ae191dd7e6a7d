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

    /// The lines for stderr.
    var lines: [String] {
        guard let message else { return [] }
        return message.split(separator: "\n").map { "wsctl: \(TerminalText.escape($0))" }
            + (advice.map { [TerminalText.escape($0)] } ?? [])
    }

    /// Says it on stderr.
    func report() {
        for line in lines { Output.complain(line) }
    }
}
