import Glibc
import Synchronization
import Testing

@testable import Engine

@Suite("Answers to challenges are read", .blocking)
struct ChallengeReaderTests {
    @Test("in order, while another thread goes on, and only so many wait for a file system that hangs")
    func hanging() async throws {
        let reader = ChallengeReader()
        let hang = try #require(Pipe())
        let answers = Mutex<[[UInt8]?]>([])
        let (done, signal) = AsyncStream.makeStream(of: Void.self)
        @Sendable func take(_ answer: [UInt8]?) { answers.withLock { $0.append(answer) } }
        @Sendable func read(_ read: @escaping @Sendable () -> [UInt8]?) -> Bool { reader.read(read) { take($0) } }
        var areTaken = read { hang.wait() }
        try await eventually { hang.isWaitedFor }
        for number in 1..<ChallengeReader.maximumCount {
            areTaken = read { [UInt8(number)] } && areTaken
        }
        let isLastTaken = reader.read {
            nil
        } then: { answer in
            take(answer)
            signal.finish()
        }
        let isOneMoreTaken = read { nil }
        #expect(areTaken && isLastTaken && !isOneMoreTaken)
        #expect(answers.withLock { $0.isEmpty })
        hang.end()
        for await _ in done {}
        let expected: [[UInt8]?] = [[0]] + (1..<ChallengeReader.maximumCount).map { [UInt8($0)] } + [nil]
        #expect(answers.withLock { $0 } == expected)
        // The thread has ended, or is about to: another begins.
        let (again, end) = AsyncStream.makeStream(of: Void.self)
        _ = reader.read {
            nil
        } then: { _ in
            end.finish()
        }
        for await _ in again {}
    }

    @Test("by another for another directory, as the one before may hang")
    func directories() {
        let (_, events) = AsyncStream.makeStream(of: EngineEvent.self)
        let context = WorkerContext(configuration: EngineConfiguration(), events: events)
        let first = context.challengeReader(for: ChallengeDirectory("/first"))
        #expect(context.challengeReader(for: ChallengeDirectory("/first")) === first)
        let second = context.challengeReader(for: ChallengeDirectory("/second"))
        #expect(second !== first)
        #expect(context.challengeReader(for: ChallengeDirectory("/second")) === second)
    }

    /// A pipe whose reader waits as for a file system that hangs.
    private final class Pipe: Sendable {
        private let ends: (read: Int32, write: Int32)
        private let waits = Atomic(false)

        init?() {
            var ends: [Int32] = [0, 0]
            guard pipe(&ends) == 0 else { return nil }
            self.ends = (ends[0], ends[1])
        }

        deinit {
            close(ends.read)
            close(ends.write)
        }

        var isWaitedFor: Bool { waits.load(ordering: .acquiring) }

        func wait() -> [UInt8] {
            waits.store(true, ordering: .releasing)
            var byte: [UInt8] = [9]
            _ = read(ends.read, &byte, 1)
            return byte
        }

        func end() {
            let byte: [UInt8] = [0]
            _ = write(ends.write, byte, 1)
        }
    }
}
