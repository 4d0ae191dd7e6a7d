import Glibc
import Settings
import Testing

@testable import Configuration

@Suite("Later layers win")
struct LayeringTests {
    private let directory = TemporaryDirectory()

    @Test("Drop-ins follow the file in the order of their names, key by key")
    func dropIns() throws {
        let file = directory.write("[server]\nworkers = 1\nmax_connections = 10", to: "wsd.toml")
        directory.write("[server]\nworkers = 3", to: "wsd.toml.d/20.toml")
        directory.write("[server]\nworkers = 2\n[queue]\nlimit = 4096", to: "wsd.toml.d/10.toml")
        directory.write("[server]\nworkers = 9", to: "wsd.toml.d/90.toml.example")
        directory.write("[server]\nworkers = 9", to: "wsd.toml.d/.90.toml")
        for loader in [ConfigurationLoader(path: file), ConfigurationLoader(defaultPath: file)] {
            let loaded = try loader.load()
            #expect(loaded.configuration.server.workers == 3)
            #expect(loaded.configuration.server.maxConnections == 10)
            #expect(loaded.configuration.queue.limitByteCount == 4096)
            #expect(loaded.files == [file, "\(file).d/10.toml", "\(file).d/20.toml"])
            #expect(loaded.origin(of: "server.workers") == .file(path: "\(file).d/20.toml", line: 2, column: 1))
            #expect(loaded.origin(of: "server.max_connections") == .file(path: file, line: 3, column: 1))
            #expect(loaded.origin(of: "server.listen") == .builtIn)
        }
    }

    @Test("Arrays replace as a whole, the endpoints too")
    func arrays() throws {
        let texts = [
            (
                "a",
                "[server]\nallowed_origins = [\"https://a\", \"https://b\"]\n[[endpoint]]\npath = \"/a\"\nchannel = \"a\""
            ),
            ("b", "[server]\nallowed_origins = [\"https://c\"]\n[[endpoint]]\npath = \"/b\""),
        ]
        let loaded = try ConfigurationLoader().load(texts: texts)
        #expect(loaded.configuration.server.allowedOrigins == [try OriginPattern(parsing: "https://c")])
        #expect(loaded.configuration.endpoints == [Settings.Endpoint(path: "/b")])
        #expect(loaded.origin(of: "endpoint[0].channel") == .builtIn)
        #expect(loaded.origin(of: "endpoint[0].path") == .file(path: "b", line: 4, column: 1))
    }

    @Test("A file that is not there is an error only where it was asked for, and its drop-ins are read either way")
    func missing() throws {
        let file = "\(directory.path)/wsd.toml"
        #expect(try ConfigurationLoader(defaultPath: file).load().configuration == Settings())
        #expect(failure(of: ConfigurationLoader(path: file)) == ["\(file): No such file or directory"])
        directory.write("[server]\nworkers = 2\nx = 1", to: "wsd.toml.d/10.toml")
        let unknown = "\(file).d/10.toml:3:1: unknown key \"x\" in [server]; there are "
        #expect(failure(of: ConfigurationLoader(path: file)).map { $0.hasPrefix(unknown) } == [false, true])
        directory.write("[server]\nworkers = 2", to: "wsd.toml.d/10.toml")
        #expect(try ConfigurationLoader(defaultPath: file).load().configuration.server.workers == 2)
    }

    @Test("What can't be read is named with the reason, beside all other errors")
    func unreadable() {
        let file = directory.write("[server]\nworkers = -1", to: "wsd.toml")
        mkdir("\(file).d", 0o755)
        mkdir("\(file).d/10.toml", 0o755)
        symlink("/nonexistent", "\(file).d/20.toml")
        symlink("/dev/zero", "\(file).d/30.toml")
        symlink("/dev/null", "\(file).d/40.toml")
        #expect(
            failure(of: ConfigurationLoader(path: file)) == [
                "\(file):2:11: server.workers: -1 is out of range; give an integer from 0 to 64",
                "\(file).d/10.toml: Is a directory",
                "\(file).d/20.toml: No such file or directory",
                "\(file).d/30.toml: larger than 1 MiB, the maximum for a configuration file; split it, or remove it",
            ])
    }

    @Test("The command line comes last")
    func commandLine() throws {
        let file = directory.write("[server]\nlisten = [\":1\"]\n[control]\npath = \"/run/a\"", to: "wsd.toml")
        let loader = ConfigurationLoader(path: file, listen: ["127.0.0.1:0", "localhost:2"], controlPath: "/run/b")
        let loaded = try loader.load()
        #expect(loaded.configuration.server.listen.map(\.description) == ["127.0.0.1:0", "127.0.0.1:2"])
        #expect(loaded.configuration.control.path == "/run/b")
        #expect(loaded.origin(of: "server.listen") == .commandLine)
        #expect(
            loaded.printed.split(separator: "\n").contains {
                $0.hasPrefix("path = \"/run/b\" ") && $0.hasSuffix(" # command line")
            })
        #expect(
            failure(of: ConfigurationLoader(path: file, listen: ["8080", ":1", ":1"], controlPath: "b")) == [
                "command line: --listen: \"8080\" has no colon; for port 8080 on all addresses write \":8080\"",
                "command line: --listen: \":1\" is there twice; leave one out",
                "command line: --control: \"b\" is not absolute; write it from \"/\" on, "
                    + "such as \"/run/wsd/io.wsd.Control\"",
            ])
    }

    @Test("An option that takes a file's place settles what was wrong between its values")
    func commandLineAgreement() throws {
        let file = directory.write("[control]\nstatus_path = \"/run/a\"", to: "wsd.toml")
        #expect(
            failure(of: ConfigurationLoader(path: file, controlPath: "/run/a")).map { $0.hasPrefix("\(file):2:1: ") }
                == [true])
        #expect(failure(of: ConfigurationLoader(defaultPath: "/nonexistent", listen: ["127.0.0.1:8081"])) == [])
        let api = directory.write("[api]\nlisten = [\"127.0.0.1:8082\"]", to: "api.toml")
        #expect(
            failure(of: ConfigurationLoader(path: api, listen: ["127.0.0.1:8082"])).map { $0.hasPrefix("\(api):2:1: ") }
                == [true])
    }

    @Test("The status socket goes beside the control socket that an option names")
    func statusBesideControl() throws {
        let loaded = try ConfigurationLoader(defaultPath: "/nonexistent", controlPath: "/tmp/x/control").load()
        #expect(loaded.configuration.control.statusPath == "/tmp/x/io.wsd.Status")
        #expect(loaded.origin(of: "control.status_path") == .commandLine)
        let file = directory.write("[control]\nstatus_path = \"/run/a\"", to: "status.toml")
        let said = try ConfigurationLoader(path: file, controlPath: "/tmp/x/control").load()
        #expect(said.configuration.control.statusPath == "/run/a")
    }

    private func failure(of loader: ConfigurationLoader) -> [String] {
        do throws(ConfigurationErrors) {
            _ = try loader.load()
            return []
        } catch {
            return error.errors.map(\.description)
        }
    }
}
