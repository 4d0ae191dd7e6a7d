import ControlServer
import Dispatch
import Glibc
import NIOPosix
import Testing
import Varlink
import VarlinkServer

/// Runs `body` with a client of the control socket and one of the status socket.
func withClients(
    of service: ControlService,
    _ body: @escaping @Sendable (_ control: VarlinkClient, _ status: VarlinkClient) throws -> Void
) async throws {
    var template = Array("/tmp/control-XXXXXX".utf8CString)
    try #require(mkdtemp(&template) != nil)
    let directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer { rmdir(directory) }
    let group = MultiThreadedEventLoopGroup.singleton
    let control = try VarlinkListener(path: directory + "/control", mode: 0o600)
    let status = try VarlinkListener(path: directory + "/status", mode: 0o600)
    try await withThrowingTaskGroup(of: Void.self) { tasks in
        tasks.addTask { try await VarlinkServer(service: service.control, group: group).run(on: control) }
        tasks.addTask {
            try await VarlinkServer(service: service.status, group: group, limits: ControlService.statusLimits)
                .run(on: status)
        }
        // Clients block, so they have a thread of their own: on the few of Swift's concurrency, they would keep out
        // the servers they wait for.
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            DispatchQueue(label: "clients").async {
                continuation.resume(
                    with: Result {
                        try body(
                            VarlinkClient(path: directory + "/control"), VarlinkClient(path: directory + "/status"))
                    })
            }
        }
        tasks.cancelAll()
        while case .some = await tasks.nextResult() {}
    }
}
