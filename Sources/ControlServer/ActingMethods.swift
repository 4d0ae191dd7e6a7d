import Base
import ClusterControl
import Control
import FoundationEssentials
import Varlink
import VarlinkServer

/// The methods of `io.wsd.Control` that change something, or return what only administrators may see.
struct ActingMethods: Sendable {
    let backend: any ControlBackend
    /// All nodes; nil if this one has no broker.
    let cluster: Cluster?

    /// Executes a call of `interface`; nil if the method isn't one of these.
    func respond(
        to request: VarlinkRequest, of interface: String
    ) async throws -> (any Encodable & Sendable)? {
        do {
            switch request.member {
            case Kick.name: return try await kick(request)
            case Broadcast.name: return try await broadcast(request)
            case Publish.name: return try await publish(request)
            case Drain.name: return try await drain(request)
            case PlanRestart.name:
                _ = try request.parameters(as: NoParameters.self)
                return await backend.planRestart()
            case FollowChannel.name: return try await follow(request)
            case GetConfiguration.name:
                _ = try request.parameters(as: NoParameters.self)
                return await backend.configuration()
            case SetConfiguration.name:
                let values = try request.parameters(as: SetConfiguration.Parameters.self).values
                guard !values.isEmpty else { throw ControlError.invalidParameter("values") }
                return try await backend.set(values, by: request.caller)
            case Profile.name: return try await profile(request)
            case Reload.name: return try await reload(request)
            case MakeToken.name: return try await makeToken(request)
            default: return nil
            }
        } catch let error as ControlError {
            throw error.varlinkError(interface: interface)
        }
    }

    private func kick(_ request: VarlinkRequest) async throws -> Kick.Reply {
        let parameters = try request.parameters(as: Kick.Parameters.self)
        guard parameters.filter.all || parameters.filter.hasCriteria else { throw ControlError.nothingSelected }
        let selection = try parameters.filter.selection()
        let reason = try CloseReason(
            code: parameters.code ?? Kick.defaultCode, text: parameters.reason ?? Kick.defaultReason)
        if let cluster = try cluster.wanted(parameters.cluster) {
            return try await cluster.kick(parameters.filter, reason: reason, by: request.caller)
        }
        let count = try await backend.kick(selection, reason: reason, by: request.caller)
        return Kick.Reply(connections: count)
    }

    private func broadcast(_ request: VarlinkRequest) async throws -> Broadcast.Reply {
        let parameters = try request.parameters(as: Broadcast.Parameters.self)
        let message = try message(text: parameters.message, base64: parameters.data)
        if let channel = parameters.channel { try ChannelName.check(channel) }
        if let cluster = try cluster.wanted(parameters.cluster) {
            return try await cluster.broadcast(
                message, channel: parameters.channel, user: parameters.user, by: request.caller)
        }
        return try await backend.broadcast(
            message, channel: parameters.channel, user: parameters.user, by: request.caller)
    }

    private func publish(_ request: VarlinkRequest) async throws -> Publish.Reply {
        let parameters = try request.parameters(as: Publish.Parameters.self)
        let message = try message(text: parameters.message, base64: parameters.data)
        try ChannelName.check(parameters.channel)
        let results = await backend.publish(
            [ChannelMessage(channel: parameters.channel, message: message)], by: request.caller)
        guard let result = results.first else { throw ControlError.invalidParameter("channel") }
        return try result.get()
    }

    private func message(text: String?, base64: String?) throws(ControlError) -> BroadcastMessage {
        switch (text, base64) {
        case (let text?, nil):
            return BroadcastMessage(text: text)
        case (nil, let base64?):
            guard let binary = BroadcastMessage(base64: base64) else { throw .invalidParameter("data") }
            return binary
        case (nil, nil): throw .invalidParameter("message")
        case (_?, _?): throw .invalidParameter("data")
        }
    }

    private func drain(_ request: VarlinkRequest) async throws -> Drain.Reply {
        _ = try request.parameters(as: NoParameters.self)
        let drain = try await backend.drain(by: request.caller)
        return Drain.Reply(drain: drain)
    }

    private func reload(_ request: VarlinkRequest) async throws -> ReloadOutcome {
        _ = try request.parameters(as: NoParameters.self)
        return try await backend.reload(by: request.caller)
    }

    private func profile(_ request: VarlinkRequest) async throws -> Profile.Reply {
        let parameters = try request.parameters(as: Profile.Parameters.self)
        guard let kind = Profile.Kind(rawValue: parameters.kind) else { throw ControlError.invalidParameter("kind") }
        let seconds = parameters.seconds ?? Profile.defaultSeconds
        guard (1...Profile.longestSeconds).contains(seconds), kind == .cpu || parameters.seconds == nil else {
            throw ControlError.invalidParameter("seconds")
        }
        let caller = request.caller
        switch kind {
        case .cpu:
            let profile = try await backend.cpuProfile(seconds: seconds, by: caller)
            return Profile.Reply(data: Data(profile).base64EncodedString())
        case .stacks: return Profile.Reply(text: try await backend.threadStacks(by: caller))
        case .heap: return Profile.Reply(text: await backend.heapReport())
        }
    }

    private func follow(_ request: VarlinkRequest) async throws -> FollowChannel.Reply {
        let channel = try request.parameters(as: FollowChannel.Parameters.self).channel
        try ChannelName.check(channel)
        guard request.wantsMore else { throw VarlinkError.expectedMore }
        try await backend.follow(channel) { message, lost in
            try await request.yield(message.map { FollowChannel.Reply($0, lost: lost) } ?? FollowChannel.Reply())
        }
        return FollowChannel.Reply()
    }

    private func makeToken(_ request: VarlinkRequest) async throws -> MakeToken.Reply {
        let parameters = try request.parameters(as: MakeToken.Parameters.self)
        try UserName.check(parameters.user)
        let lifetime = parameters.lifetime ?? MakeToken.defaultLifetime
        guard (1...MakeToken.longestLifetime).contains(lifetime) else {
            throw ControlError.invalidParameter("lifetime")
        }
        let grants = parameters.grants ?? []
        for grant in grants { try ChannelName.check(grant.pattern, field: "grant") }
        let token = try await backend.makeToken(
            user: parameters.user, lifetime: lifetime, grants: grants, by: request.caller)
        return MakeToken.Reply(token: token)
    }
}

extension VarlinkRequest {
    /// The caller, for the log.
    fileprivate var caller: Caller { .process(peer, client) }
}

extension Cluster? {
    /// All nodes if they are asked for; nil if only this one is.
    ///
    /// - Throws: ``ControlError/noBroker``.
    func wanted(_ parameter: Bool?) throws(ControlError) -> Cluster? {
        guard parameter == true else { return nil }
        guard let self else { throw .noBroker }
        return self
    }
}
