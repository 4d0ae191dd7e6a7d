import Terminal

/// Why a run didn't take place: the message for stderr, and the exit code.
struct Failure: Error, Hashable {
    /// What went wrong, naming the thing.
    let message: String
    /// What to do about it.
    let advice: String?
    /// The exit code, from sysexits.h where it has one.
    let exitCode: Int32

    init(_ message: String, advice: String? = nil, exitCode: Int32 = 1) {
        self.message = message
        self.advice = advice
        self.exitCode = exitCode
    }

    /// The lines for stderr.
    var lines: [String] {
        ["wsbench: \(TerminalText.escape(message))"] + (advice.map { [TerminalText.escape($0)] } ?? [])
    }
}
