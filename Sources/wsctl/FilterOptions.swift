import ArgumentParser
import Base
import Control

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

    /// The filter made of the options, ids and `--all`.
    func filter(ids: [String] = [], all: Bool = false) -> ConnectionFilter {
        ConnectionFilter(
            ids: ids.isEmpty ? nil : ids, ip: ip, endpoint: endpoint, channel: channel, user: user, all: all)
    }
}
