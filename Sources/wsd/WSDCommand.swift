import ArgumentParser
import Authentication
import Configuration
import Control
import Glibc
import Settings
import Systemd
import TLSHandshake

/// The command line of the daemon: wsd(8).
@main
struct WSDCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "wsd",
        abstract: "A WebSocket hub: keeps browsers connected and fans messages out to them.",
        discussion: """
            wsd reads /etc/wsd/wsd.toml and /etc/wsd/wsd.toml.d/*.toml; without any file it uses the built-in \
            defaults. It listens on the sockets that systemd passes, or else on those in the configuration. SIGTERM \
            and SIGINT drain: all connections are closed with 1001, spread over drain.period; a second signal closes \
            the rest at once.

            EXAMPLES
              wsd                                     serve on port 8080, chat page at http://localhost:8080/
              wsd --listen 127.0.0.1:9000             serve on another address
              wsd --config ./wsd.toml --check-config  report every error in a configuration file

            See wsd(8), wsctl(1) and wsd.toml(5).
            """,
        version: "wsd \(WSD.version)"
    )

    @Option(
        help: ArgumentHelp("Read this configuration file, and the drop-ins in FILE.d.", valueName: "file"),
        completion: .file())
    var config: String?

    @Flag(help: "Check the configuration, report every error, and exit.")
    var checkConfig = false

    @Flag(help: "Print the effective configuration and where each value comes from, and exit.")
    var printConfig = false

    @Option(
        help: ArgumentHelp("Listen on this address instead of server.listen; may be repeated.", valueName: "address"))
    var listen: [String] = []

    @Option(
        help: ArgumentHelp("Create the control socket at this path instead of control.path.", valueName: "path"),
        completion: .file())
    var control: String?

    static func main() async {
        // Before anything takes the passed sockets.
        var failedStart = FailedStart()
        var serves = true
        do {
            var command = try parse()
            serves = !command.checkConfig && !command.printConfig
            try await command.run()
        } catch {
            let code = exitCode(for: error).rawValue
            guard serves, code != EXIT_SUCCESS else { exit(withError: error) }
            complain(fullMessage(for: error).split(separator: "\n").map(String.init), to: LogDestination.detect())
            failedStart.run()
            Glibc.exit(failedStart.exitCode(for: code))
        }
    }

    /// The origin that errors in options have in place of a file.
    private var commandLine: String { ConfigurationOrigin.commandLine.description }

    mutating func run() async throws {
        let destination = LogDestination.detect()
        let loader = ConfigurationLoader(path: config, listen: listen, controlPath: control)
        // The service's own files are read as the service reads them; a file named on the command line may be readable
        // by its owner only.
        var reader = ServiceAccount.Reader.caller
        if checkConfig, config == nil { reader = try Self.assumeServiceAccount(destination) }
        let loaded: LoadedConfiguration
        do throws(ConfigurationErrors) {
            loaded = try loader.load()
        } catch {
            Self.complain(error.errors.map(\.description), by: reader, to: destination)
            // An error on the command line is wrong usage; one in a file is an invalid configuration.
            throw ExitCode(error.errors.allSatisfy { $0.file == commandLine } ? EX_USAGE : EX_CONFIG)
        }
        if printConfig {
            print(loaded.printed, terminator: "")
            return
        }
        if checkConfig {
            if config != nil { reader = try Self.assumeServiceAccount(destination) }
            do throws(KeyErrors) {
                let (visible, hidden) = loaded.configuration.withoutHiddenCredentials
                if hidden > 0 {
                    let those = hidden == 1 ? "1 credential" : "\(hidden) credentials"
                    print("\(those) not checked; the daemon checks credentials when it starts")
                }
                for notice in try await visible.checkFiles(loadsPlugins: true) {
                    Self.complain([notice], as: "<4>", to: destination)
                }
            } catch {
                Self.complain(StartFailure(error, in: loaded).messages, by: reader, to: destination)
                throw ExitCode(EX_CONFIG)
            }
            let files =
                loaded.files.isEmpty
                ? "no configuration file; the built-in defaults" : loaded.files.joined(separator: ", ")
            print("good: \(files)\(reader.remark)")
            return
        }
        do {
            try await Daemon(loaded, destination: destination, loader: loader).run()
        } catch let failure as StartFailure {
            Self.complain(failure.messages, to: destination)
            throw ExitCode(failure.exitCode)
        }
    }

    private static func assumeServiceAccount(_ destination: LogDestination) throws -> ServiceAccount.Reader {
        do throws(StartFailure) {
            return try ServiceAccount.assume()
        } catch {
            complain(error.messages, to: destination)
            throw ExitCode(error.exitCode)
        }
    }

    /// Writes the errors that a check has found; an error about permissions also says by whom the files were read.
    private static func complain(_ lines: [String], by reader: ServiceAccount.Reader, to destination: LogDestination) {
        let refusal = errorText(EACCES)
        complain(lines.map { $0.contains(refusal) ? $0 + reader.remark : $0 }, to: destination)
    }

    /// Writes errors, or what has another priority, to standard error: before there is a log, or when there will be none.
    private static func complain(_ lines: [String], as priority: String = "<3>", to destination: LogDestination) {
        let prefix = destination == .stderr(prefixesPriority: false) ? "" : priority
        for line in lines {
            let text = Array("\(prefix)\(line)\n".utf8)
            _ = write(STDERR_FILENO, text, text.count)
        }
    }
}

/// The reason why the daemon could not start, and its exit code from sysexits.h.
struct StartFailure: Error {
    var messages: [String]
    var exitCode: Int32 = EXIT_FAILURE

    init(message: String, exitCode: Int32 = EXIT_FAILURE) {
        messages = [message]
        self.exitCode = exitCode
    }

    init(_ errors: KeyErrors, in loaded: LoadedConfiguration) {
        messages = errors.errors.map { loaded.located($0.description) }
        exitCode = EX_CONFIG
    }
}
