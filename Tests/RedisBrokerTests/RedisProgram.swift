import Glibc
import Testing

/// A server's program: that of the release the tests run on, or a newer one.
enum RedisProgram: String, CaseIterable, Sendable, CustomTestStringConvertible {
    case installed = "redis-server"
    case trixieRedis = "trixie/redis-server"
    case trixieValkey = "trixie/valkey-server"

    /// What tests use that don't name one; `WSD_TEST_REDIS` is its raw value, for all of them on another one.
    static let standard =
        variable("WSD_TEST_REDIS").map { name in
            guard let program = Self(rawValue: name) else {
                preconditionFailure("WSD_TEST_REDIS is none of \(allCases.map(\.rawValue))")
            }
            return program
        } ?? installed

    private static func variable(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }

    var testDescription: String { rawValue }

    /// The words that start it, before those that configure it.
    func words() throws -> [String] {
        guard self != .installed else { return ["redis-server"] }
        let name = String(rawValue.dropFirst("trixie/".count))
        let loader = try Self.loader.get()
        let library = String(loader[..<(loader.lastIndex(of: "/") ?? loader.endIndex)])
        let tree = String(loader[..<(loader.firstRange(of: "/usr/lib/")?.lowerBound ?? loader.endIndex)])
        // Its own loader and libraries, as the release has older ones.
        return [loader, "--argv0", name, "--library-path", library, "\(tree)/usr/bin/\(name)"]
    }

    /// The program loader in the tree with the servers.
    private static let loader: Result<String, NotSeen> = {
        let cache = (variable("XDG_CACHE_HOME") ?? (variable("HOME") ?? "") + "/.cache") + "/wsd-tests"
        let pattern = "\(cache)/servers-" + String(repeating: "?", count: 12) + "/usr/lib/*/ld-linux*.so.*"
        var found = glob_t()
        defer { globfree(&found) }
        guard glob(pattern, 0, nil, &found) == 0, let path = found.gl_pathv[0] else {
            return .failure(
                NotSeen(
                    "there are no servers of trixie in \(cache); python3 Tests/system/container/rootfs.py servers gets them"
                ))
        }
        return .success(String(cString: path))
    }()
}
