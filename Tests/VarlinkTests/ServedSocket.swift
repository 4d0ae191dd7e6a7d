import Dispatch
import Glibc
import NIOCore
import NIOPosix
import Synchronization
import Testing
import Varlink
import VarlinkServer

/// A server on a socket in a directory of its own, for as long as `body` runs. Clients block, so `body` has a thread of
/// its own: on the few of Swift's concurrency, the clients would keep out the server they wait for.
func withServer(
    _ interfaces: [VarlinkInterface] = [TestInterface.interface], limits: VarlinkServer.Limits = VarlinkServer.Limits(),
    _ body: @escaping @Sendable (ServedSocket) throws -> Void
) async throws {
    let directory = try TemporaryDirectory()
    defer { directory.remove() }
    let path = directory.path + "/socket"
    let events = Mutex<[String]>([])
    let service = VarlinkService(vendor: "v", product: "p", version: "1", url: "u", interfaces: interfaces)
    let server = VarlinkServer(
        service: service, group: MultiThreadedEventLoopGroup.singleton, limits: limits,
        log: { event in events.withLock { $0.append("\(event)") } })
    let listener = try VarlinkListener(path: path, mode: 0o600)
    try await withThrowingTaskGroup(of: Void.self) { tasks in
        tasks.addTask { try await server.run(on: listener) }
        try await blocking { try body(ServedSocket(path: path, events: { events.withLock { $0 } })) }
        tasks.cancelAll()
        // The end of the server is no failure of the test.
        while case .some = await tasks.nextResult() {}
    }
    #expect(access(path, F_OK) != 0, "the socket file is still there")
}

/// Runs what blocks on a thread of its own.
func blocking(_ body: @escaping @Sendable () throws -> Void) async throws {
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
        DispatchQueue(label: "blocking").async {
            continuation.resume(with: Result(catching: body))
        }
    }
}

/// Where a test server listens, and what it logged.
struct ServedSocket: Sendable {
    let path: String
    let events: @Sendable () -> [String]
}

/// A directory that goes away with everything in it.
struct TemporaryDirectory {
    let path: String

    init() throws {
        var template = Array("/tmp/varlink-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    func remove() {
        for name in ["socket", "other/deep/socket", "other/deep", "other"] {
            if unlink("\(path)/\(name)") != 0 { rmdir("\(path)/\(name)") }
        }
        rmdir(path)
    }
}

/// Waits until a condition holds; fails the test when it doesn't in four minutes.
func eventually(
    _ what: String, sourceLocation: SourceLocation = #_sourceLocation, _ condition: () -> Bool
) {
    let deadline = ContinuousClock.now + .seconds(240)
    while !condition() {
        if ContinuousClock.now > deadline {
            Issue.record("still waiting until \(what)", sourceLocation: sourceLocation)
            return
        }
        usleep(5000)
    }
}
