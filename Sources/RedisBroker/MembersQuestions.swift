import Base
import Broker

/// Asks for the users of channels, in one command at a time for each, however many ask: those who come while an answer is
/// under way share the next one. It may be large, and say what changed since they came.
final class MembersQuestions {
    private let emit: (String, UInt64, [BrokerMember]?) -> Void
    /// The questions that wait for the next command, by channels of which an answer is under way.
    private var waiting: [Name: [UInt64]] = [:]

    /// - Parameter emit: takes the channel, the token of a question and its answer.
    init(_ emit: @escaping (String, UInt64, [BrokerMember]?) -> Void) { self.emit = emit }

    func ask(_ channel: String, _ token: UInt64, _ router: any RedisRouter) {
        if waiting[Name(channel)]?.append(token) == nil { ask(channel, [token], router) }
    }

    private func ask(_ channel: String, _ tokens: [UInt64], _ router: any RedisRouter) {
        waiting[Name(channel)] = []
        router.send(["HGETALL", .text(router.keys.users(channel))]) { [self] reply in
            var members: [BrokerMember]?
            if case .value(let value) = reply { members = PresenceKeeper.members(value) }
            let next = waiting.removeValue(forKey: Name(channel)) ?? []
            for token in tokens { emit(channel, token, members) }
            if !next.isEmpty { ask(channel, next, router) }
        }
    }
}
