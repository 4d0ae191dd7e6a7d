import Glibc
import NIOPosix
import Testing
import Varlink
import VarlinkServer

@Suite("A listener", .blocking)
struct VarlinkListenerTests {
    private func mode(_ path: String) -> mode_t? {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_mode & 0o7777 : nil
    }

    /// Binds a socket as a daemon would that then crashes, or goes on.
    private func bindSocket(_ path: String, listening: Bool) throws -> CInt {
        let descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)
        let address = try #require(UnixAddress(path: path))
        try #require(address.withSockaddr { bind(descriptor, $0, $1) } == 0)
        if listening { try #require(listen(descriptor, 5) == 0) }
        return descriptor
    }

    @Test("makes missing directories, and a socket of its mode", arguments: [0o660, 0o666, 0o600] as [mode_t])
    func creates(_ wanted: mode_t) throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path + "/other/deep/socket"
        _ = try VarlinkListener(path: path, mode: wanted)
        #expect(mode(path) == wanted)
        #expect(mode(directory.path + "/other/deep").map { $0 & 0o700 } == 0o700)
    }

    @Test("replaces a socket that nobody answers on")
    func stale() throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path + "/socket"
        close(try bindSocket(path, listening: false))
        #expect(throws: Never.self) { try VarlinkListener(path: path, mode: 0o600) }
    }

    @Test("leaves alone a socket that somebody answers on, and what isn't a socket")
    func inUse() throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path + "/socket"
        let other = try bindSocket(path, listening: true)
        #expect(throws: VarlinkListenerError.inUse(path: path)) { try VarlinkListener(path: path, mode: 0o600) }
        #expect(mode(path) != nil)
        close(other)
        unlink(path)
        close(open(path, O_CREAT | O_WRONLY, 0o600))
        #expect(throws: VarlinkListenerError.notASocket(path: path)) { try VarlinkListener(path: path, mode: 0o600) }
        #expect(mode(path) == 0o600)
    }

    @Test("says what is wrong with a path", arguments: ["", "/tmp/" + String(repeating: "x", count: 200), "/tmp/a\0b"])
    func invalidPath(_ path: String) {
        #expect(throws: VarlinkListenerError.invalidPath(path: path, limit: 107)) {
            try VarlinkListener(path: path, mode: 0o600)
        }
    }

    @Test("says what it couldn't do, with the path and the reason")
    func failure() {
        #expect(throws: VarlinkListenerError.self) { try VarlinkListener(path: "/proc/none/socket", mode: 0o600) }
        let error = VarlinkListenerError.failed(action: "bind", path: "/x", code: EACCES)
        #expect("\(error)" == "/x: cannot bind: Permission denied")
    }

    @Test("that was handed over is served, and its file stays")
    func adopted() async throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path + "/socket"
        let listener = VarlinkListener(adopting: try bindSocket(path, listening: true))
        let service = VarlinkService(
            vendor: "v", product: "p", version: "1", url: "u", interfaces: [TestInterface.interface])
        let server = VarlinkServer(service: service, group: MultiThreadedEventLoopGroup.singleton)
        let running = Task { try await server.run(on: listener) }
        try await blocking {
            let reply: TestInterface.Text = try VarlinkClient(path: path)
                .call("test.it.Echo", TestInterface.Text(text: "x"))
            #expect(reply.text == "x")
        }
        running.cancel()
        _ = await running.result
        #expect(mode(path) != nil)
    }

    @Test("doesn't remove the file that another daemon has put in the place of its own")
    func replaced() async throws {
        let directory = try TemporaryDirectory()
        defer { directory.remove() }
        let path = directory.path + "/socket"
        let listener = try VarlinkListener(path: path, mode: 0o600)
        unlink(path)
        let other = try bindSocket(path, listening: true)
        defer { close(other) }
        let service = VarlinkService(vendor: "v", product: "p", version: "1", url: "u", interfaces: [])
        let server = VarlinkServer(service: service, group: MultiThreadedEventLoopGroup.singleton)
        let running = Task { try await server.run(on: listener) }
        running.cancel()
        _ = await running.result
        #expect(mode(path) != nil)
    }
}
