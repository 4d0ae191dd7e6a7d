import Glibc
import Logging
import Testing

@testable import Systemd

@Suite struct LogTests {
    @Test func aLineHasLevelMessageAndSortedMetadata() throws {
        let lines = try capture { handler in
            var logger = Logger(label: "test") { _ in handler }
            logger[metadataKey: "connection"] = "42"
            logger.warning("closed", metadata: ["reason": "pong timeout", "channel": "lobby"])
        }
        #expect(lines == ["WARNING closed channel=lobby connection=42 reason=\"pong timeout\""])
    }

    @Test func aHostileValueCannotForgeALine() throws {
        let lines = try capture { handler in
            let agent = "x\n<2>CRITICAL root logged in\r\u{1B}[2J\u{202E}\u{0085}\" a=b"
            Logger(label: "test") { _ in handler }.info("hello", metadata: ["user-agent": .string(agent)])
        }
        let expected =
            #"INFO hello user-agent="x\n<2>CRITICAL root logged in\r\u{1B}[2J\u{202E}\u{85}\" a=b""#
        #expect(lines == [expected])
    }

    @Test func aHostileMessageCannotForgeALineEither() throws {
        let lines = try capture { Logger(label: "test", handler: $0).info("path /\nERROR forged") }
        #expect(lines == [#"INFO path /\nERROR forged"#])
    }

    @Test func longValuesAreCut() {
        let text = LogText.quoted(String(repeating: "a", count: 100_000))
        #expect(text == String(repeating: "a", count: LogText.valueLimit) + "…")
    }

    @Test(arguments: [
        (Logger.Level.trace, 7), (.debug, 7), (.info, 6), (.notice, 5), (.warning, 4), (.error, 3), (.critical, 2),
    ])
    func thePriorityStandsInFrontWhereAsked(level: Logger.Level, priority: Int) throws {
        let lines = try capture(prefixesPriority: true, level: .trace) {
            Logger(label: "test", handler: $0).log(level: level, "text")
        }
        #expect(lines == ["<\(priority)>\(level.rawValue.uppercased()) text"])
    }

    @Test func anErrorIsPartOfTheLine() throws {
        struct Refused: Error, CustomStringConvertible { let description = "not today" }
        let lines = try capture { Logger(label: "test", handler: $0).error("failed", error: Refused()) }
        #expect(lines == [#"ERROR failed error="not today""#])
    }

    @Test func theLevelChangesForAllLoggersThatAlreadyExist() throws {
        let threshold = LogThreshold(.info)
        var (first, second) = (
            Logger(label: "a", handler: StderrLogHandler(threshold: threshold)),
            Logger(label: "b", handler: JournalLogHandler(identifier: "wsd", threshold: threshold))
        )
        #expect(first.logLevel == .info)
        threshold.level = .debug
        #expect(first.logLevel == .debug)
        #expect(second.logLevel == .debug)
        second.logLevel = .error
        first.logLevel = .trace
        #expect((first.logLevel, second.logLevel, threshold.level) == (.trace, .error, .debug))
    }

    @Test func belowTheThresholdNothingIsWritten() throws {
        let lines = try capture(level: .warning) { Logger(label: "test", handler: $0).info("quiet") }
        #expect(lines.isEmpty)
    }

    @Test func theJournalIsChosenOnlyWhereStderrIsConnectedToIt() {
        let stderr = (device: UInt64(8), inode: UInt64(4711))
        func choice(_ stream: String?, _ accepts: Bool) -> LogDestination {
            .choose(journalStream: stream, stderr: stderr, journalAccepts: accepts)
        }
        #expect(choice("8:4711", true) == .journal)
        #expect(choice("8:4711", false) == .stderr(prefixesPriority: true))
        #expect(choice("8:1", true) == .stderr(prefixesPriority: false))
        #expect(choice("nonsense", true) == .stderr(prefixesPriority: false))
        #expect(choice(nil, true) == .stderr(prefixesPriority: false))
    }

    /// The lines that a stderr handler writes while `body` runs.
    private func capture(
        prefixesPriority: Bool = false, level: Logger.Level = .info, _ body: (StderrLogHandler) -> Void
    ) throws -> [String] {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        body(
            StderrLogHandler(
                threshold: LogThreshold(level), prefixesPriority: prefixesPriority, descriptor: ends[1]))
        close(ends[1])
        defer { close(ends[0]) }
        var buffer = [UInt8](repeating: 0, count: 65536)
        let count = read(ends[0], &buffer, buffer.count)
        return String(decoding: buffer.prefix(count), as: UTF8.self).split(separator: "\n").map(String.init)
    }
}

extension Logger {
    /// A logger with this very handler.
    fileprivate init(label: String, handler: any LogHandler) {
        self.init(label: label) { _ in handler }
    }
}
