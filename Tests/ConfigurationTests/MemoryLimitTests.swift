import Settings
import Testing

@testable import Configuration

@Suite("limits.memory")
struct MemoryLimitTests {
    private func limit(_ value: String) throws -> MemoryLimit {
        try loaded("[limits]\nmemory = \(value)").configuration.limits.memory
    }

    @Test("is a size, or a share of what there is")
    func values() throws {
        #expect(try limit("\"256MiB\"") == .byteCount(256 << 20))
        #expect(try limit("1048576") == .byteCount(1 << 20))
        #expect(try limit("0") == .byteCount(0))
        #expect(try limit("\"25%\"") == .share(percent: 25))
        #expect(try limit("\"100%\"") == .share(percent: 100))
        #expect(try loaded("[limits]\nmemory = \"25%\"").printed.contains("memory = \"25%\""))
    }

    @Test("comes to bytes, none of which are too many")
    func bytes() {
        #expect(MemoryLimit.byteCount(7).byteCount(of: 1000) == 7)
        #expect(MemoryLimit.byteCount(0).byteCount(of: 1000) == 0)
        #expect(MemoryLimit.share(percent: 50).byteCount(of: 4000) == 2000)
        #expect(MemoryLimit.share(percent: 100).byteCount(of: .max) > 1 << 60)
        // No share is no limit.
        #expect(MemoryLimit.share(percent: 1).byteCount(of: 0) == 1)
    }

    @Test("is refused with the way out where it is neither")
    func refused() {
        let expected = [
            ("\"0%\"", "\"0%\" is out of range; give a share from \"1%\" to \"100%\", or 0 for no limit"),
            ("\"101%\"", "\"101%\" is out of range; give a share from \"1%\" to \"100%\", or 0 for no limit"),
            ("\"12.5%\"", "\"12.5%\" is no share; write a whole number and a percent sign, such as \"50%\""),
            ("\"%\"", "\"%\" is no share; write a whole number and a percent sign, such as \"50%\""),
            (
                "1000",
                "1000 is out of range; give a size from \"1MiB\" to \"16TiB\", or 0 for no limit"
            ),
            ("true", "got the boolean true; give a size in quotes, or a number of bytes, such as memory = \"50%\""),
        ]
        for (value, message) in expected {
            let column = 10
            #expect(errors("[limits]\nmemory = \(value)") == ["f:2:\(column): limits.memory: \(message)"])
        }
    }

    @Test("A limit for each address that nobody gave leaves loopback alone")
    func exemptsLoopback() throws {
        #expect(try loaded("").exemptsLoopback)
        #expect(try loaded("").configuration.server.maxConnectionsPerIP == 1000)
        #expect(try !loaded("[server]\nmax_connections_per_ip = 1000").exemptsLoopback)
        #expect(try !loaded("[server]\nmax_connections_per_ip = 0").exemptsLoopback)
    }
}
