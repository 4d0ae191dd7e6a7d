internal import FoundationEssentials
internal import Varlink

/// The messages between nodes: JSON objects in UTF-8, those of Varlink with members of their own.
///
/// A question is a call, and an answer is a reply:
///
///     {"v": 1, "id": 7, "node": "a", "method": "Kick", "parameters": {…}}
///     {"v": 1, "id": 7, "parameters": {…}}
///     {"v": 1, "id": 7, "error": "io.wsd.Cluster.AnswerTooLarge", "parameters": {…}}
///
/// `v` is the version of this form. `id` is the number that the asking node gave to its question, and `node` that node's
/// name, for the log. The methods are those of `io.wsd.Control` that all nodes together can answer; ``Question`` has
/// their names and parameters. A member that a node doesn't know is ignored, but a parameter that it doesn't know is
/// answered with `org.varlink.service.InvalidParameter` and a method with `MethodNotFound`, so that an older node never
/// does something else than it was asked for.
enum ClusterMessage {
    static let version = 1

    /// What every message has; the rest is read by whoever knows its type.
    struct Head: Decodable {
        let version: Int
        let id: Int
        /// The asking node's name; in questions.
        let node: String?
        /// The method; nil in an answer.
        let method: String?

        private enum CodingKeys: String, CodingKey {
            case version = "v"
            case id, node, method
        }

        /// Reads a message; nil if it is none.
        init?(of message: [UInt8]) {
            guard let head = try? VarlinkJSON.decode(Head.self, from: message), head.id > 0 else { return nil }
            self = head
        }
    }

    static func question(
        _ id: Int, from node: String, _ method: String, _ parameters: some Encodable
    ) throws -> [UInt8] {
        Array(try VarlinkJSON.encode(Body(id: id, node: node, method: method, parameters: parameters)))
    }

    static func answer(_ id: Int, _ parameters: some Encodable) throws -> [UInt8] {
        Array(try VarlinkJSON.encode(Body(id: id, parameters: parameters)))
    }

    static func answer(_ id: Int, _ error: VarlinkError) throws -> [UInt8] {
        Array(try VarlinkJSON.encode(Body(id: id, error: error.name, parameters: error.parameters)))
    }

    private struct Body<Parameters: Encodable>: Encodable {
        let version = ClusterMessage.version
        let id: Int
        var node: String?
        var method: String?
        var error: String?
        let parameters: Parameters

        private enum CodingKeys: String, CodingKey {
            case version = "v"
            case id, node, method, error, parameters
        }
    }
}

extension VarlinkError {
    /// An error that only nodes tell each other.
    static func cluster(_ member: String, _ parameters: [String: VarlinkValue] = [:]) -> VarlinkError {
        VarlinkError(name: "io.wsd.Cluster.\(member)", parameters: parameters)
    }
}
