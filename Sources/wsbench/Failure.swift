import Terminal

/// The reason why a run didn't take place: the message for standard error, and the exit code.
struct Failure: Error, Hashable {
    /// The error, naming what failed.
    let message: String
    /// Advice on how to fix it.
    let advice: String?
    /// The exit code, from sysexits.h where it has one.
    let exitCode: Int32

    init(_ message: String, advice: String? = nil, exitCode: Int32 = 1) {
        self.message = message
        self.advice = advice
        self.exitCode = exitCode
    }

    /// The lines for standard error.
    var lines: [String] {
        ["wsbench: \(TerminalText.escape(message))"] + (advice.map { [TerminalText.escape($0)] } ?? [])
    }
}
