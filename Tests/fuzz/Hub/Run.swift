import Base
import Engine
import Glibc
import Settings
import WebSocket

/// A program as it runs: a hub, its clients, and what is done with them, step by step.
final class Run {
    static let placeCount = 6

    var program: Program
    /// What holds for the whole life of a hub.
    private let life: Step
    private var first: Step
    private(set) var hub: HubUnderTest
    var clients = [Client?](repeating: nil, count: placeCount)
    private var clientCount = 0
    /// How many more huge messages there may be: what one input makes has to fit into memory many times.
    var hugeMessagesLeft = 2
    var deflater = Deflater(level: 6)
    /// Whether the queue's policy is, or was, one that drops what it has no room for.
    private var mayLoseMessages = false
    /// Connections as the hub names them.
    var knownIDs: [ConnectionID] = []

    /// Runs a program from its beginning to the checks at its end.
    ///
    /// - Parameter name: where it is from, for the trace.
    static func execute(_ bytes: [UInt8], name: String = "a program") {
        Trace.begin()
        Trace.note("# \(name)")
        let descriptors = kept.count
        var program = Program(bytes)
        guard let life = program.step(), let first = program.step() else { return }
        do {
            let run = Run(program, life, first)
            while let step = run.program.step() {
                run.perform(step)
                run.pump()
            }
            run.finish()
        }
        Trace.note("# descriptors")
        eventually("all descriptors are closed: \(openDescriptors())") { openDescriptors().count <= descriptors }
        Trace.note("# good")
    }

    /// What is open without a hub: Swift's clocks have an epoll instance and an event descriptor of their own, for good.
    private static let kept: [String] = {
        blocking("sleep") { try? await Task.sleep(for: .milliseconds(1)) }
        return openDescriptors()
    }()

    /// Open descriptors of the kinds that hubs have.
    private static func openDescriptors() -> [String] {
        (0..<256).compactMap { descriptor in
            var target = [CChar](repeating: 0, count: 64)
            guard readlink("/proc/self/fd/\(descriptor)", &target, target.count - 1) > 0 else { return nil }
            let text = String(decoding: target.prefix { $0 != 0 }.map(UInt8.init), as: UTF8.self)
            let isOurs = ["socket:", "[eventfd]", "[eventpoll]", "[io_uring]"].contains { text.contains($0) }
            return isOurs ? "\(descriptor) \(text)" : nil
        }
    }

    private init(_ program: Program, _ life: Step, _ first: Step) {
        self.program = program
        self.life = life
        self.first = first
        hub = Self.start(life, first)
        _ = nextConfiguration(first)
    }

    private static func start(_ life: Step, _ first: Step) -> HubUnderTest {
        let configuration = Rules.configuration(life, first)
        Trace.note("start \(Rules.description(configuration))")
        return HubUnderTest(configuration, sendBufferByteCount: life.pair(1, 2, of: [0, 0, 4_096, 65_536]))
    }

    /// Whether clients need a token.
    var asksForTokens: Bool { life.flag(0, 3) }

    /// Another configuration, which is about to hold.
    func nextConfiguration(_ step: Step) -> EngineConfiguration {
        let configuration = Rules.configuration(life, step)
        if configuration.queue.policy != .disconnect { mayLoseMessages = true }
        return configuration
    }

    /// The next hub takes the place of this one.
    func restart(_ step: Step) {
        finish()
        first = step
        mayLoseMessages = false
        hub = Self.start(life, first)
        _ = nextConfiguration(first)
    }

    // MARK: Clients

    /// The client that a byte means, or the next one that can still say something.
    ///
    /// - Parameter needsJSON: whether it has to be one of the `json` protocol where there is one.
    func client(_ byte: Int, needsJSON: Bool = false) -> Client? {
        let candidates = (0..<Self.placeCount).compactMap { self.clients[(byte + $0) % Self.placeCount] }.filter {
            $0.phase == .open || $0.phase == .handshake
        }
        return candidates.first { !needsJSON || $0.endpoint.isJSON && !$0.isUnaccountable } ?? candidates.first
    }

    /// A place for a new client: the one that a byte means, or the next that is free.
    func freePlace(_ byte: Int) -> Int? {
        (0..<Self.placeCount).lazy.map { (byte + $0) % Self.placeCount }.first {
            self.clients[$0].map { $0.phase == .told || $0.phase == .over } ?? true
        }
    }

    func nextClientNumber() -> Int {
        clientCount += 1
        return clientCount
    }

    /// Has every client send and take what it can.
    func pump() {
        for case let client? in clients {
            if mayLoseMessages { client.losesMessages = true }
            if client.hasOutput, !client.holdsOutput { client.flush() }
            if client.isReading { client.read() }
        }
    }

    /// Lets clients talk for a while.
    func pump(for duration: Duration, until isOver: () -> Bool = { false }) {
        let start = ContinuousClock.now
        repeat {
            pump()
            if isOver() { return }
            usleep(200)
        } while ContinuousClock.now - start < duration
    }

    // MARK: The end

    /// Everybody gets their answers and goes; then nothing may be left.
    private func finish() {
        Trace.note("# the end")
        hub.finishCommands()
        hub.checkThatWorkersTurn()
        for case let client? in clients {
            client.holdsOutput = false
            client.isReading = true
            client.pieceByteCount = 0
        }
        pump()
        if Checks.answers { awaitAnswers() }
        let ending = life.pair(1, 0, of: ["cut", "close", "half", "stop"])
        Trace.note("# clients: \(ending)")
        switch ending {
        case "close": sayGoodbye()
        case "half":
            for case let client? in clients where client.phase == .open { client.shutDown() }
            pump(for: .milliseconds(1))
        default: break
        }
        if ending != "stop" {
            for case let client? in clients { client.cut() }
            Trace.note("# nothing is left?")
            hub.checkThatNothingIsLeft(Rules.forgetful(life))
        }
        hub.checkThatWorkersTurn()
        Trace.note("# stop")
        hub.stop()
        for case let client? in clients { client.cut() }
        clients = Array(repeating: nil, count: Self.placeCount)
        knownIDs = []
    }

    /// Every request has its answer, unless its connection has ended.
    private func awaitAnswers() {
        Trace.note("# answers?")
        let start = ContinuousClock.now
        while true {
            pump()
            let waiting = clients.compactMap(\.self).filter { isWaiting($0) }
            if waiting.isEmpty { return }
            require(
                ContinuousClock.now - start < deadline,
                waiting.map { client in
                    let ids = client.unanswered.map { Trace.shown($0.id) }.joined(separator: " ")
                    return "\(client.number) (\(client.phase)) waits for \(ids)"
                }.joined(separator: ", "))
            usleep(200)
        }
    }

    private func isWaiting(_ client: Client) -> Bool {
        if client.phase == .handshake { return !hub.isDraining && !client.isUnaccountable }
        return client.mustBeAnswered && !client.losesMessages && !client.unanswered.isEmpty
    }

    /// Who says goodbye hears it said back.
    private func sayGoodbye() {
        let leaving = clients.compactMap(\.self).filter { $0.phase == .open && !$0.isUnaccountable }
        for client in leaving {
            client.isUnaccountable = true
            client.queue(8, [0x03, 0xE8])
        }
        pump(for: deadline) { leaving.allSatisfy { $0.phase != .open } }
        require(leaving.allSatisfy { $0.phase != .open }, "a close frame without an answer")
    }
}
