import ArgumentParser
import Control

/// `wsctl log-level [LEVEL]`: shows or changes the log level.
struct LogLevelCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log-level",
        abstract: "Show the daemon's log level, or change it until the next reload or restart.",
        discussion: """
            Levels: trace, debug, info, notice, warning, error, critical. From debug on, every connection is logged.

            EXAMPLES
              wsctl log-level debug
              wsctl log-level
            """ + ExitStatus.help)

    @Argument(
        help: "The new level.",
        completion: .list(["trace", "debug", "info", "notice", "warning", "error", "critical"]))
    var level: String?

    @OptionGroup var options: GlobalOptions

    func run() throws {
        try options.tellingFailuresInJSON {
            if let level { return try SettingText.set(["log.level": level], options) }
            let reply = try DaemonClient.forActing(options).call(
                GetConfiguration.name, returning: GetConfiguration.Reply.self)
            for setting in reply.settings where setting.key == "log.level" {
                try Output.standard.write(line: SettingText.line(setting, options))
            }
        }
    }
}
