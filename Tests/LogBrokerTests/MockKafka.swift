import Foundation

/// The cluster that librdkafka brings along for its own tests: one broker in memory, that keeps what it has while it is
/// down.
final class MockKafka: LogServer {
    let type = "kafka"
    private let process: ServerProcess

    init() throws {
        process = try ServerProcess()
        guard mkfifo("\(process.directory)/in", 0o600) == 0 else { throw NotSeen("there can be no FIFO") }
    }

    private var answers: [Substring] {
        let text = FileManager.default.contents(atPath: "\(process.directory)/out") ?? Data()
        return String(decoding: text, as: UTF8.self).split(separator: "\n")
    }

    var options: [(key: String, value: String)] { [("servers", String(answers.first ?? ""))] }

    private static let program: String = {
        let root = #filePath.split(separator: "/").dropLast(3).joined(separator: "/")
        let program = "/\(root)/.build/test-plugins-mockkafka"
        let status = shell("cc -O1 -o '\(program)' '/\(root)/Tests/system/mockkafka.c' -lrdkafka >&2")
        precondition(status == 0, "mockkafka.c can't be compiled")
        return program
    }()

    func start() throws {
        let directory = process.directory
        let command = "exec '\(Self.program)' 1 <>'\(directory)/in' >'\(directory)/out' 2>/dev/null"
        try process.start(["/bin/sh", "-c", command]) { !self.answers.isEmpty }
    }

    private func perform(_ command: String) throws {
        let count = answers.count
        shell("echo '\(command)' >'\(process.directory)/in'")
        let deadline = ContinuousClock.now + patience
        while answers.count == count {
            guard ContinuousClock.now < deadline else { throw NotSeen("no answer to \(command)") }
            usleep(2_000)
        }
    }

    func cut() throws {
        try perform("down 1")
        usleep(100_000)
        try perform("up 1")
    }

    func restart(keepingData: Bool) throws {
        guard keepingData else { throw NotSeen("a cluster in memory can't be started again at the same place") }
        try cut()
    }

    func pause() { process.signal(SIGSTOP) }
    func resume() { process.signal(SIGCONT) }
    func end() { process.end() }
}
