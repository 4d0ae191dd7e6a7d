import ArgumentParser
import Control
import Glibc
import Terminal

/// The options that every command has.
struct GlobalOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp("The daemon's control socket.", valueName: "path"),
        completion: .file())
    var socket: String?

    @Flag(help: "Print JSON: one object, or for lists one object per line.")
    var json = false

    @Flag(help: "Leave out the header of tables.")
    var noLegend = false

    @Flag(name: .shortAndLong, help: "Print nothing but the data.")
    var quiet = false

    /// The socket that was named, on the command line or by the environment; nil for the default ones.
    var namedSocket: String? {
        if let socket { return socket }
        guard let value = getenv("WSD_SOCKET"), value.pointee != 0 else { return nil }
        return String(cString: value)
    }

    /// Runs a command whose failures a program wants to read: with --json they are one object on standard output, besides
    /// what is said on standard error.
    func tellingFailuresInJSON(_ body: () throws -> Void) throws {
        do {
            try body()
        } catch let failure as Failure {
            if json, let errors = failure.json { try Output.standard.write(line: JSONLine.bytes(errors)) }
            throw failure
        }
    }

    /// Says something to a person, besides the data.
    func note(_ line: String) {
        if !quiet { Output.complain(TerminalText.escape(line)) }
    }
}
