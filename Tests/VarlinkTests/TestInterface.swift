import Synchronization
import Varlink
import VarlinkServer

/// An interface with a method for every kind of answer.
enum TestInterface {
    struct Text: VarlinkParameters, Hashable {
        enum CodingKeys: String, CodingKey, CaseIterable { case text }
        var text: String
    }

    struct Count: VarlinkParameters, Hashable {
        enum CodingKeys: String, CodingKey, CaseIterable { case count }
        var count: Int
    }

    struct Peer: Codable, Sendable {
        var pid: Int32
        var uid: UInt32
    }

    static let name = "test.it"
    static let description = "interface test.it\nmethod Echo(text: string) -> (text: string)\n"

    /// What one-way calls left behind, by test.
    static let noted = Mutex<[String]>([])
    /// Streams that were cancelled, and replies that ``Flood`` produced.
    static let cancelled = Mutex(0)
    static let flooded = Mutex(0)

    static let interface = VarlinkInterface(name: name, description: description) { request in
        switch request.member {
        case "Echo":
            return try request.parameters(as: Text.self)
        case "Note":
            let text = try request.parameters(as: Text.self).text
            noted.withLock { $0.append(text) }
            return NoParameters()
        case "Fail":
            throw VarlinkError(name: "test.it.Failed", parameters: ["why": "because"])
        case "Break":
            struct Unforeseen: Error {}
            throw Unforeseen()
        case "WhoAmI":
            return Peer(pid: request.peer.processID, uid: request.peer.userID)
        case "CountTo":
            let end = try request.parameters(as: Count.self).count
            for number in 1..<end { try await request.yield(Count(count: number)) }
            return Count(count: end)
        case "Flood":
            // More than any socket holds, in pieces of the size of a page of connections.
            let piece = Text(text: String(repeating: "x", count: 100_000))
            for _ in 0..<10_000 {
                flooded.withLock { $0 += 1 }
                try await request.yield(piece)
            }
            return piece
        case "WaitForever":
            try await request.yield(Count(count: 0))
            do {
                try await Task.sleep(for: .seconds(3600))
            } catch {
                cancelled.withLock { $0 += 1 }
                throw error
            }
            return Count(count: 1)
        default:
            throw VarlinkError.methodNotFound(request.fullName)
        }
    }
}
