import Base
import Control
import Engine
import Logging
import Operations
import WebSocket

/// Messages to and from clients.
extension HubBackend {
    func broadcast(
        _ message: BroadcastMessage, channel: String?, user: String?, by caller: Caller
    ) async throws(ControlError) -> PublishResult {
        if let channel, user == nil {
            let messages = [ChannelMessage(channel: channel, message: message)]
            return try await publish(messages, by: caller)[0].get()
        }
        try check(message)
        let selection = ConnectionSelection(channel: channel, user: user)
        let count: Int
        do throws(HubParked) {
            count = try await scans.run { () throws(HubParked) in
                try await hub.broadcast(
                    message.opcode, message.payload, isPlainText: message.isPlainText, to: selection)
            }
        } catch { throw .unavailable(error.reason) }
        note(
            "broadcast \(message.payload.count) bytes to \(count) connections",
            metadata(caller).merging(
                [("channel", channel), ("user", user)].compactMap { key, value in
                    value.map { (key, "\($0)") }
                }
            ) { $1 }, caller)
        return PublishResult(recipients: count)
    }

    func publish(_ messages: [ChannelMessage], by caller: Caller) async -> [Result<PublishResult, ControlError>] {
        var results: [Result<PublishResult, ControlError>] = []
        var good: [Hub.Message] = []
        for message in messages {
            do throws(ControlError) {
                try check(message.message)
                good.append(
                    Hub.Message(
                        channel: message.channel, opcode: message.message.opcode, payload: message.message.payload,
                        isPlainText: message.message.isPlainText))
                results.append(.success(PublishResult(recipients: 0)))
            } catch { results.append(.failure(error)) }
        }
        var published = await hub.publish(good)[...]
        for index in results.indices {
            if case .success = results[index], let next = published.popFirst() {
                results[index] =
                    next.refusal.map { .failure(next.isFinal ? .rejected($0) : .unavailable($0)) }
                    ?? .success(PublishResult(next))
            }
        }
        for (message, result) in zip(messages, results) {
            guard case .success(let result) = result else { continue }
            note(
                "broadcast \(message.message.payload.count) bytes to \(result.recipients) connections",
                metadata(caller).merging(["channel": "\(message.channel)"]) { $1 }, caller)
        }
        return results
    }

    /// Logs a message that was sent. Messages of a backend, of which there may be tens of thousands a second, are
    /// logged at the level debug only.
    private func note(
        _ text: @autoclosure () -> Logger.Message, _ metadata: @autoclosure () -> Logger.Metadata, _ caller: Caller
    ) {
        if caller.isBackend {
            logger.debug(text(), metadata: metadata())
        } else {
            audit.notice(text(), metadata: metadata())
        }
    }

    private func check(_ message: BroadcastMessage) throws(ControlError) {
        let limit = hub.maximumMessageByteCount
        guard message.payload.count <= limit else {
            throw .messageTooLarge(byteCount: message.payload.count, limit: limit)
        }
    }

    func unsubscribe(
        _ selection: ConnectionSelection, channel: String, reason: String, by caller: Caller
    ) async throws(ControlError) -> Int {
        let count: Int
        do throws(HubParked) {
            count = try await scans.run { () throws(HubParked) in
                try await hub.unsubscribe(selection, channel: channel, reason: reason)
            }
        } catch { throw .unavailable(error.reason) }
        audit.notice(
            "took \(count) connections out of a channel: \(reason)",
            metadata: metadata(caller).merging(["channel": "\(channel)"]) { $1 })
        return count
    }

    func follow(
        _ channel: String, _ body: @escaping @Sendable (BroadcastMessage?, _ lost: Int) async throws -> Void
    ) async throws {
        try await hub.follow(channel) { message, lost in
            try await body(message.map(BroadcastMessage.init), Int(clamping: lost))
        }
    }

    func endings(matching selection: ConnectionSelection?, limit: Int) async -> [Event] {
        await scans.run { await hub.endings(selection ?? ConnectionSelection(), limit: limit) }
    }

    func monitor(_ body: @escaping @Sendable ([Event], _ lost: Int) async throws -> Void) async throws -> Bool {
        try await feed.watch { events, lost in
            try await body([], 0)
            for await shared in events { try await body([shared.event], lost()) }
        }
        return await lifecycle.isParking
    }
}

extension PublishResult {
    fileprivate init(_ published: Published) {
        self.init(
            recipients: published.connections, epoch: published.position?.epoch,
            seq: published.position.map { Int(clamping: $0.seq) })
    }
}

extension BroadcastMessage {
    fileprivate var opcode: Opcode { isBinary ? .binary : .text }

    fileprivate init(_ message: FollowedMessage) {
        if message.opcode == .binary {
            self.init(data: message.payload)
        } else {
            self.init(text: String(decoding: message.payload, as: UTF8.self))
        }
    }
}
