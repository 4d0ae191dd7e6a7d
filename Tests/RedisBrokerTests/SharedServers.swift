import Synchronization
import Testing

/// What servers know of each other.
enum RedisArrangement: Sendable {
    case alone
    /// Two that know nothing of each other.
    case two
    /// Three masters.
    case cluster
    /// A master and its replica, and three Sentinels, which are so patient that a master that a case restarts or stops
    /// stays the master; SentinelTests have those that are not.
    case sentinels

    fileprivate func servers(_ program: RedisProgram) async throws -> any RedisServers {
        switch self {
        case .alone: try ServersFixture(1, program: program)
        case .two: try ServersFixture(2, program: program)
        case .cluster: try await ClusterFixture(program: program)
        case .sentinels: try await SentinelFixture(downAfter: 60_000, program: program)
        }
    }
}

/// Servers that one case after the other uses, until one fails: a cluster takes seconds to be made.
struct SharedServers: SuiteTrait, TestScoping {
    private struct Servers {
        var program: RedisProgram
        var fixture: any RedisServers
    }

    private static let all = Mutex<[RedisArrangement: Servers]>([:])

    /// Ends them after the suite.
    func provideScope(
        for test: Test, testCase: Test.Case?, performing function: @Sendable () async throws -> Void
    ) async throws {
        defer { for arrangement in Self.all.withLock({ Array($0.keys) }) { Self.end(arrangement) } }
        try await function()
    }

    /// Runs a case, of which there is one at a time in each arrangement.
    static func run(_ test: ConformanceCase, _ arrangement: RedisArrangement, _ program: RedisProgram) async throws {
        do {
            try await test.run(servers(arrangement, program))
        } catch {
            // Its nodes may still use them.
            end(arrangement)
            throw error
        }
    }

    private static func servers(
        _ arrangement: RedisArrangement, _ program: RedisProgram
    ) async throws -> any RedisServers {
        if let servers = all.withLock({ $0[arrangement] }), servers.program == program {
            try servers.fixture.clear()
            return servers.fixture
        }
        end(arrangement)
        let fixture = try await arrangement.servers(program)
        all.withLock { $0[arrangement] = Servers(program: program, fixture: fixture) }
        return fixture
    }

    private static func end(_ arrangement: RedisArrangement) {
        all.withLock { $0.removeValue(forKey: arrangement) }?.fixture.end()
    }
}

extension Trait where Self == SharedServers {
    /// The servers of the cases are ended when all have been run.
    static var sharedServers: SharedServers { SharedServers() }
}
