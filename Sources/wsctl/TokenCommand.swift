import ArgumentParser
import Control
import Glibc

/// `wsctl token`: makes a token for development.
struct TokenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Make a JSON Web Token for development.",
        discussion: """
            The daemon signs the token with auth.hmac_secret_file, the secret that it checks tokens with. If it has \
            only public keys, tokens can be made only with the private keys. Anyone who has the token can use it: \
            keep it out of the shell's history.

            EXAMPLES
              wsctl token --user alice
              wsctl token --user alice --expires 10m --grant 'room:*=subscribe,publish'
            """ + ExitStatus.help)

    @Option(help: "The user, the token's claim sub.", completion: Completion.users)
    var user: String

    @Option(help: ArgumentHelp("The token's lifetime, such as 90s, 10m, 12h or 30d.", valueName: "time"))
    var expires: TokenLifetime = TokenLifetime(seconds: MakeToken.defaultLifetime)

    @Option(
        help: ArgumentHelp(
            "Channels that the token grants, as PATTERN=subscribe,publish; may be repeated.", valueName: "grant"))
    var grant: [MakeToken.Grant] = []

    @OptionGroup var options: GlobalOptions

    func run() throws {
        let parameters = MakeToken.Parameters(user: user, lifetime: expires.seconds, grants: grant)
        let reply = try DaemonClient.forActing(options).call(
            MakeToken.name, parameters, returning: MakeToken.Reply.self)
        try Output.standard.write(line: options.json ? JSONLine.bytes(reply) : Array(reply.token.utf8))
    }
}

/// The lifetime of a token: a number with "s", "m", "h" or "d".
struct TokenLifetime: ExpressibleByArgument, Equatable {
    let seconds: Int

    init(seconds: Int) { self.seconds = seconds }

    init?(argument: String) {
        let units: [Character: Int] = ["s": 1, "m": 60, "h": 3600, "d": 86400]
        guard let last = argument.last, let unit = units[last], let number = Int(argument.dropLast()), number > 0 else {
            return nil
        }
        let (seconds, overflows) = number.multipliedReportingOverflow(by: unit)
        guard !overflows, seconds <= MakeToken.longestLifetime else { return nil }
        self.seconds = seconds
    }

    var defaultValueDescription: String { "1h" }
}

extension MakeToken.Grant: ExpressibleByArgument {
    package init?(argument: String) { self.init(parsing: argument) }
}
