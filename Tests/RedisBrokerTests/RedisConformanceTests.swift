import Base
import Testing

@testable import RedisBroker

/// What every broker has to do, done by servers of all programs in all arrangements. The arrangements are beside each
/// other, what happens in one of them is one after the other.
@Suite(.blocking, .sharedServers) struct RedisConformance {
    @Test(
        "The programs are those that they are called",
        arguments: [(RedisProgram.trixieRedis, "redis_version:8."), (.trixieValkey, "valkey_version:8.")])
    func programs(_ program: RedisProgram, _ version: String) throws {
        let server = try RedisServer(program: program)
        defer { server.end() }
        let lines = try server.call("INFO", "server").text?.split(whereSeparator: \.isNewline) ?? []
        #expect(lines.contains { $0.hasPrefix(version) }, "\(lines)")
    }

    @Test("The manual says what is asked of Redis")
    func manual() throws {
        let broker = RedisBroker(RedisBroker.Options(.independent([]), node: .random()))
        try PromisedCases.areInTheManual(of: "redis", broker.traits, BrokerConformance.cases.map(\.testDescription))
    }

    @Test(.serialized, arguments: RedisProgram.allCases, BrokerConformance.cases)
    func alone(_ program: RedisProgram, _ test: ConformanceCase) async throws {
        try await SharedServers.run(test, .alone, program)
    }

    @Test(.serialized, arguments: RedisProgram.allCases, BrokerConformance.cases)
    func twoServers(_ program: RedisProgram, _ test: ConformanceCase) async throws {
        try await SharedServers.run(test, .two, program)
    }

    @Test(.serialized, arguments: RedisProgram.allCases, BrokerConformance.cases)
    func cluster(_ program: RedisProgram, _ test: ConformanceCase) async throws {
        try await SharedServers.run(test, .cluster, program)
    }

    @Test(.serialized, arguments: RedisProgram.allCases, BrokerConformance.cases)
    func behindSentinels(_ program: RedisProgram, _ test: ConformanceCase) async throws {
        try await SharedServers.run(test, .sentinels, program)
    }
}
