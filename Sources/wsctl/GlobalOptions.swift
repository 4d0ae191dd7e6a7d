import ArgumentParser
import Base
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

/// The option of the commands that can ask all nodes.
struct ClusterOptions: ParsableArguments {
    @Flag(help: "Ask all nodes that share the broker, rather than this one.")
    var cluster = false

    /// The parameter of a call; nil if only this node is asked, which an older daemon understands as well.
    var parameter: Bool? { cluster ? true : nil }

    /// Fails if a node did not answer, after what the others answered has been printed.
    static func check(
        _ silent: [String]?, _ options: GlobalOptions, advice: String? = "See 'wsctl nodes'."
    ) throws(Failure) {
        guard let failure = failure(silent, options, advice: advice) else { return }
        throw failure
    }

    /// The failure that names the nodes that did not answer; nil if all did.
    static func failure(
        _ silent: [String]?, _ options: GlobalOptions, advice: String? = "See 'wsctl nodes'."
    ) -> Failure? {
        guard let silent, !silent.isEmpty else { return nil }
        // A page of a list names the nodes that are missing in it.
        let names = Set(silent).sorted().joined(separator: ", ")
        return Failure(options.quiet ? nil : "no answer from \(names)", advice: advice)
    }
}

/// The options that select connections, besides their ids.
struct FilterOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The client's address or network, such as 10.0.0.0/8.", valueName: "address"))
    var ip: String?

    @Option(help: ArgumentHelp("A channel it is subscribed to.", valueName: "name"), completion: Completion.channels)
    var channel: String?

    @Option(
        help: ArgumentHelp("The path of its endpoint.", valueName: "path"), completion: Completion.endpoints)
    var endpoint: String?

    @Option(help: ArgumentHelp("The user it authenticated as.", valueName: "name"), completion: Completion.users)
    var user: String?

    func validate() throws {
        if let ip, IPNetwork(ip) == nil {
            throw ValidationError("--ip \(ip): neither an IP address nor a network such as 10.0.0.0/8")
        }
    }

    /// The options as they were given, for a message; nil if none was.
    var text: String? {
        let given = [("--ip", ip), ("--channel", channel), ("--endpoint", endpoint), ("--user", user)]
            .compactMap { name, value in value.map { "\(name) \($0)" } }
        return given.isEmpty ? nil : given.joined(separator: " ")
    }

    /// The filter made of the options, ids and `--all`.
    func filter(ids: [String] = [], all: Bool = false) -> ConnectionFilter {
        ConnectionFilter(
            ids: ids.isEmpty ? nil : ids, ip: ip, endpoint: endpoint, channel: channel, user: user, all: all)
    }
}
