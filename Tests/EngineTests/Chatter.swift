import Base
import Broker
import Channels
import Glibc
import Synchronization
import Testing

@testable import Engine

/// A client of a shared channel's hub that writes without waiting, and notes all that it gets, to be judged later.
final class Chatter: @unchecked Sendable {
    /// A request, by its id.
    enum Request: Equatable { case chat(String, data: String), join(String), leave(String), other }

    let name: String
    let isRelay: Bool
    private let client: TestClient
    private(set) var requests: [Request] = []
    private let records = Mutex<[String]>([])
    private let isOver = Atomic(false)
    private let since: MessagePosition?

    /// - Parameter since: the last position that was seen in the endpoint's channel.
    init(
        _ node: SharedNode, _ name: String, isRelay: Bool = false, path: String? = nil, since: MessagePosition? = nil
    ) throws {
        self.name = name
        self.isRelay = isRelay
        self.since = since
        let place = since.map { "&epoch=\($0.epoch)&seq=\($0.seq)" } ?? ""
        client = try node.client(name + place, path ?? (isRelay ? "/ws" : "/chat"))
        var one: Int32 = 1
        setsockopt(client.descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, 4)
        // It may hear nothing for long.
        var never = timeval(tv_sec: 0, tv_usec: 0)
        setsockopt(client.descriptor, SOL_SOCKET, SO_RCVTIMEO, &never, socklen_t(MemoryLayout<timeval>.size))
        let reader = Unmanaged.passRetained(self).toOpaque()
        var thread = pthread_t()
        pthread_create(
            &thread, nil,
            { reader in
                let chatter = Unmanaged<Chatter>.fromOpaque(reader!).takeRetainedValue()
                while let frame = try? chatter.client.frame(), frame.opcode != 8 {
                    chatter.records.withLock { $0.append(String(decoding: frame.payload, as: UTF8.self)) }
                }
                chatter.isOver.store(true, ordering: .releasing)
                return nil
            }, reader)
        pthread_detach(thread)
    }

    /// Sends a request; `text` has all of it but its id and the brackets.
    func ask(_ request: Request, _ text: String) {
        client.say("{\"id\":\(requests.count),\(text)}")
        requests.append(request)
    }

    func say(_ text: String) { client.say(text) }

    var answerCount: Int { records.withLock { $0.count { Self.isAnswer($0) } } }
    var answerIDs: [Int] {
        records.withLock { $0.filter { Self.isAnswer($0) }.compactMap { $0.member("id").flatMap(Int.init) } }
    }
    /// A copy of their own, not a reference: ThreadSanitizer does not see those counted.
    var texts: [String] { records.withLock { records in records.map { $0 } } }

    private static func isAnswer(_ text: String) -> Bool {
        text.hasPrefix(#"{"type":"ack""#) || text.hasPrefix(#"{"type":"error""#)
    }

    func leave() async throws {
        client.leave()
        try await eventually { isOver.load(ordering: .acquiring) }
    }

    /// The positions at the end in the channels that the client is in, and the messages that it got.
    struct Outcome {
        var places: [String: MessagePosition] = [:]
        var messages: [(channel: String, MessagePosition, data: String)] = []
        var acknowledged: [(channel: String, MessagePosition, data: String)] = []
        var gapCount = 0
    }

    /// Judges what the client got.
    func outcome(_ seed: UInt64) -> Outcome {
        var outcome = Outcome()
        var answered = 0
        func fail(_ reason: String, _ text: String) { Issue.record("\(name): \(reason): \(text), seed \(seed)") }
        func position(_ text: String) -> MessagePosition? {
            guard let epoch = text.member("epoch"), let seq = text.member("seq").flatMap(UInt64.init)
            else { return nil }
            return MessagePosition(epoch: String(epoch.dropFirst().dropLast()), seq: seq)
        }
        for text in texts {
            let channel = String((text.member("channel") ?? "\"\"").dropFirst().dropLast())
            if Self.isAnswer(text) {
                if text.member("id") != "\(answered)" { fail("not the answer to \(answered)", text) }
                let request = answered < requests.count ? requests[answered] : .other
                answered += 1
                guard text.hasPrefix(#"{"type":"ack""#) else { continue }
                switch request {
                case .join:
                    guard let place = position(text) else { return outcome }
                    if let known = outcome.places[channel], known != place { fail("not at \(known)", text) }
                    outcome.places[channel] = place
                case .leave: outcome.places[channel] = nil
                case .chat(_, let data):
                    if let place = position(text) { outcome.acknowledged.append((channel, place, data)) }
                case .other: break
                }
            } else if text.contains(#""event":"welcome""#) {
                outcome.places[channel] = text.contains(#""recovered":true"#) ? since : position(text)
            } else if text.contains(#""event":"gap""#) {
                outcome.gapCount += 1
                if outcome.places[channel] == nil { fail("not in the channel", text) }
                outcome.places[channel] = position(text)
            } else if let seq = text.member("seq").flatMap(UInt64.init) {
                guard var place = outcome.places[channel] else {
                    fail("not in the channel", text)
                    continue
                }
                if seq != place.seq + 1 { fail("does not follow \(place)", text) }
                place.seq = seq
                outcome.places[channel] = place
                outcome.messages.append((channel, place, text.member("data") ?? ""))
            }
        }
        if answered != requests.count { fail("\(answered) of \(requests.count) answers", "") }
        return outcome
    }
}
