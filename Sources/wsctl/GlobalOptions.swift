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

    /// The socket named on the command line or in the environment; nil for the default ones.
    var namedSocket: String? {
        if let socket { return socket }
        guard let value = getenv("WSD_SOCKET"), value.pointee != 0 else { return nil }
        return String(cString: value)
    }

    /// Runs a command whose failures a program wants to read: with --json they are also printed as one object on
    /// standard output.
    func tellingFailuresInJSON(_ body: () throws -> Void) throws {
        do {
            try body()
        } catch let failure as Failure {
            if json, let errors = failure.json { try Output.standard.write(line: JSONLine.bytes(errors)) }
            throw failure
        }
    }

    /// Prints a note for a person to standard error, unless `--quiet` is given.
    func note(_ line: String) {
        if !quiet { Output.complain(TerminalText.escape(line)) }
    }
}
