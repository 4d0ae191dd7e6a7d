import Foundation
import Synchronization

@testable import LogBroker

/// A log in memory, and the plugin that nodes use it by: what a client library may do, at the will of a test.
final class FakeLog: @unchecked Sendable {
    /// What becomes of a record that is appended.
    enum Fate {
        case taken
        /// It waits, as the partition has no leader.
        case held
        /// It is not taken, and the client can't say so.
        case lost
        /// It waits, and the client says that it may be there.
        case delayed
        /// It is not taken, and the client says so.
        case refused
    }

    struct Row {
        var time: Int64
        var key: [UInt8] = []
        var value: [UInt8]
        var flags: UInt32 = 0

        /// What a node has said in it.
        var record: LogRecord? { value.withUnsafeBytes { LogRecord.isMarked($0) ? try? LogRecord($0) : nil } }
    }

    enum Event {
        case up
        case appended(UInt64)
        case failed(UInt64, isUncertain: Bool)
        case lost(Int)
        case caughtUp(Int, Int)
        case replaced(Int)

        var isCaughtUp: Bool { if case .caughtUp = self { true } else { false } }
    }

    struct Client {
        var wake: CInt
        var events: [Event] = [.up]
        /// The offset that is read next, of each partition.
        var places: [Int: Int] = [:]
        /// Whether the last look found that the log had grown.
        var isServed = false
        /// Whether it gets no records at present.
        var isPaused = false
        /// What the last poll has given out.
        var buffers: [UnsafeMutableRawBufferPointer] = []
    }

    struct State {
        var partitions: [[Row]]
        var clients: [Int: Client] = [:]
        /// Without a token, it has been answered.
        var held: [(client: Int, partition: Int, row: Row, token: UInt64?)] = []
        var openCount = 0
        var refusedOpens = 0
        /// Whether nobody is told that the end has been reached.
        var holdsCatchUp = false
        /// Whether the first partition becomes longer each time that it is looked at.
        var isGrowing = false
        var clockLag: Int64 = 0
        var fate: @Sendable (LogRecord, Int) -> Fate = { _, _ in .taken }
    }

    static let logs = Mutex<[Int: FakeLog]>([:])
    private static let lastNumber = Atomic<Int>(0)

    /// What nodes are to say in their options.
    let options: [(key: String, value: String)]
    let number: Int
    // Only read and changed by `with`.
    private var state: State
    private let lock = NSLock()

    init(partitions count: Int = 2) {
        number = Self.lastNumber.add(1, ordering: .relaxed).newValue
        options = [("log", "\(number)")]
        state = State(partitions: Array(repeating: [], count: count))
        Self.logs.withLock { $0[number] = self }
    }

    func with<Value>(_ body: (inout State) -> Value) -> Value {
        lock.lock()
        defer { lock.unlock() }
        return body(&state)
    }

    func end() { Self.logs.withLock { $0[number] = nil } }

    // MARK: What a test does

    /// What is in a partition.
    func rows(_ partition: Int) -> [Row] { with { $0.partitions[partition] } }

    func append(_ partition: Int, _ row: Row) {
        with { state in
            state.partitions[partition].append(row)
            Self.wake(state.clients.values)
        }
    }

    /// The connections that have been made.
    var openCount: Int { with(\.openCount) }

    /// Has another log, which is empty, in the place of a partition.
    func replace(_ partition: Int) {
        with { state in
            state.partitions[partition] = []
            for client in state.clients.keys {
                state.clients[client]?.places[partition] = nil
                state.clients[client]?.events.append(.replaced(partition))
            }
            Self.wake(state.clients.values)
        }
    }

    /// Has no reader come to the end until `releaseCatchUp`.
    ///
    /// - Parameter isGrowing: whether there is always more to be read, from a minute ago.
    func holdCatchUp(isGrowing: Bool = false) {
        with { state in
            state.holdsCatchUp = true
            state.isGrowing = isGrowing
        }
    }

    func releaseCatchUp() {
        with { state in
            state.holdsCatchUp = false
            state.isGrowing = false
            Self.wake(state.clients.values)
        }
    }

    /// Has the next connections fail.
    func refuseOpens(_ count: Int) { with { $0.refusedOpens = count } }

    /// Has the broker's clock be behind.
    func lag(by milliseconds: Int64) { with { $0.clockLag = milliseconds } }

    /// Says what becomes of the records that nodes append; what was held is judged again.
    func judge(_ fate: @escaping @Sendable (LogRecord, Int) -> Fate) {
        with { state in
            state.fate = fate
            let held = state.held
            state.held = []
            for (client, partition, row, token) in held { Self.take(row, partition, token, client, &state) }
        }
    }

    /// Gives the node that connected as the nth, from 1, nothing more until `resume`.
    func pause(_ client: Int) { with { $0.clients[number << 16 | client]?.isPaused = true } }

    /// - Parameter lost: a partition of which what is there has to be skipped.
    func resume(_ client: Int, lost partition: Int? = nil) {
        with { state in
            let client = number << 16 | client
            state.clients[client]?.isPaused = false
            if let partition {
                state.clients[client]?.places[partition] = state.partitions[partition].count
                state.clients[client]?.events.append(.lost(partition))
            }
            Self.wake(state.clients.values)
        }
    }
}
