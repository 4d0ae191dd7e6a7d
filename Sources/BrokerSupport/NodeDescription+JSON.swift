package import Base
package import Broker
import FoundationEssentials

// What a node says of itself, as a JSON object in one line.
extension NodeDescription {
    private struct Members: Codable {
        var name: String
        var version: String
        var addresses: [String]
        /// In milliseconds since 1970.
        var started: Int64
    }

    /// The description as JSON.
    package var json: String {
        let members = Members(name: name, version: version, addresses: addresses, started: startedAt)
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(members)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }

    /// A node of which nothing is known but its identity.
    package init(id: NodeID) {
        self.init(id: id, name: id.description, version: "", addresses: [], startedAt: 0)
    }

    /// A node of whose text as much is taken as can be read.
    package init(id: NodeID, json: String) {
        let members = try? JSONDecoder().decode(Members.self, from: Data(json.utf8))
        self.init(
            id: id, name: members?.name ?? id.description, version: members?.version ?? "",
            addresses: members?.addresses ?? [], startedAt: members?.started ?? 0)
    }
}
