import Glibc
import Testing
import Varlink

@Suite("A client", .blocking)
struct VarlinkClientTests {
    /// A socket on which a test plays the service.
    private func listening(_ path: String) throws -> CInt {
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
        let address = try #require(UnixAddress(path: path))
        try #require(address.withSockaddr { bind(descriptor, $0, $1) } == 0)
        try #require(listen(descriptor, 5) == 0)
        return descriptor
    }

    private func failure(_ body: () throws -> Void) -> VarlinkClientError? {
        do {
            try body()
            return nil
        } catch {
            return error as? VarlinkClientError
        }
    }

    private static let nowhere = ["/nonexistent/socket", "", "/" + String(repeating: "x", count: 300)]

    @Test("says that nobody is there", arguments: nowhere)
    func notReachable(_ path: String) throws {
        let error = try #require(failure { _ = try VarlinkClient(path: path) })
        guard case .notReachable(path, _) = error else {
            Issue.record("\(error)")
            return
        }
    }

    @Test("says that a socket is left over, with its path")
    func stale() throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path + "/socket"
        close(try listening(path))
        let error = try #require(failure { _ = try VarlinkClient(path: path) })
        #expect("\(error)" == "cannot reach \(path): Connection refused")
    }

    @Test(
        "tells a service that goes away, talks nonsense or is silent",
        arguments: [
            (nil, "the service closed the connection before it had answered"),
            ("nonsense", "not understood: not JSON"),
            (#"{"parameters":[]}"#, "not understood: 'parameters' has the wrong type"),
            (#"{"continues":true,"parameters":{}}"#, "not understood: more than one reply to a.b.C"),
            ("half…", "no answer within 1 s"),
        ])
    func misbehaves(_ answer: String?, _ expected: String) throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path + "/socket"
        let service = try listening(path)
        defer { close(service) }
        let client = try VarlinkClient(path: path, timeoutSeconds: 1)
        let peer = accept(service, nil, nil)
        if let answer {
            let end = answer.hasSuffix("…") ? "" : "\0"
            _ = Array((answer + end).utf8).withUnsafeBytes { send(peer, $0.baseAddress, $0.count, 0) }
        } else {
            // A peer that has closed, with the call unread or not even sent: neither may be a SIGPIPE.
            close(peer)
        }
        let error = try #require(failure { _ = try client.call("a.b.C", returning: NoParameters.self) })
        #expect("\(error)" == "\(path): \(expected)")
        if answer != nil { close(peer) }
    }

    @Test("tells a service that has ended from one that never answered")
    func ended() throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path + "/socket"
        let service = try listening(path)
        defer { close(service) }
        let client = try VarlinkClient(path: path, timeoutSeconds: 30)
        let peer = accept(service, nil, nil)
        _ = Array("{}\0".utf8).withUnsafeBytes { send(peer, $0.baseAddress, $0.count, 0) }
        _ = try client.call("a.b.C", returning: NoParameters.self)
        close(peer)
        #expect(failure { _ = try client.call("a.b.C", returning: NoParameters.self) } == .ended(path: path))
    }

    @Test("leaves waiting to who has more to look after, and gives up when told to")
    func interrupted() throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path + "/socket"
        let service = try listening(path)
        defer { close(service) }
        let client = try VarlinkClient(path: path, timeoutSeconds: 30)
        var asked: [Int?] = []
        client.wait = { _, seconds in
            asked.append(seconds)
            return false
        }
        #expect(failure { _ = try client.call("a.b.C", returning: NoParameters.self) } == .interrupted(path: path))
        #expect(asked == [30])

        // One that says it has waited long enough, with nothing to read.
        client.wait = { _, _ in true }
        let error = failure { _ = try client.call("a.b.C", returning: NoParameters.self) }
        #expect(error == .timedOut(path: path, seconds: 30))
    }
}
