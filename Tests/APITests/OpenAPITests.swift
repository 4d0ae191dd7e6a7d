import Base
import Control
import FoundationEssentials
import Operations
import Testing

@testable import API

@Suite("The API's description")
struct OpenAPITests {
    private struct Document: Decodable {
        struct Operation: Decodable {
            var description: String?
            var responses: [String: Response]
        }

        struct Response: Decodable { var description: String }

        struct Components: Decodable { var schemas: [String: Schema] }

        /// A schema of a value; one without a type, or with several, has strings.
        final class Schema: Decodable {
            private enum CodingKeys: CodingKey { case type, properties, required, items }

            let type: String?
            let properties: [String: Schema]?
            let required: [String]?
            let items: Schema?

            init(from decoder: any Decoder) throws {
                let container = try decoder.container(keyedBy: CodingKeys.self)
                type = try? container.decode(String.self, forKey: .type)
                properties = try container.decodeIfPresent([String: Schema].self, forKey: .properties)
                required = try container.decodeIfPresent([String].self, forKey: .required)
                items = try container.decodeIfPresent(Schema.self, forKey: .items)
            }
        }

        var components: Components
        var paths: [String: [String: Operation]]
    }

    @Test("has every path of the code with its method and the key it needs, and no other")
    func paths() throws {
        let document = try JSONDecoder().decode(Document.self, from: Data(OpenAPI.answer.body))
        #expect(Set(document.paths.keys) == Set(Router.paths.map(\.path)))
        for (path, method, scope) in Router.paths {
            let operation = try #require(document.paths[path]?[method.lowercased()], "\(method) \(path)")
            #expect(document.paths[path]?.count == 1)
            switch scope {
            case .publish?: #expect(operation.description?.contains("api.publish_key_file") == true)
            case .read?: #expect(operation.description?.contains("api.read_key_file") == true)
            case .admin?: #expect(operation.description == "Needs a key of api.admin_key_file.")
            case nil: #expect(operation.description == nil)
            }
            #expect(operation.responses["200"] != nil && (scope == nil || operation.responses["401"] != nil))
        }
    }

    @Test("has the fields of each row, with their types")
    func rows() throws {
        let schemas = try JSONDecoder().decode(Document.self, from: Data(OpenAPI.answer.body)).components.schemas
        let time = Timestamp(millisecondsSinceEpoch: 0)
        let connection = ConnectionRow(
            id: ConnectionID(worker: 0, slot: 0, number: 0), address: .loopback, port: 0, endpoint: "", protocol: "",
            channels: [], connectedSince: time, idleSeconds: 0, messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0,
            queuedBytes: 0, droppedMessages: 0, state: .closing)
        for (schema, row) in [
            (schemas["Connection"], connection as Any),
            (schemas["Channels"]?.properties?["channels"]?.items, ChannelRow(name: "", connections: 0)),
            (
                schemas["Nodes"]?.properties?["nodes"]?.items,
                NodeRow(name: "", id: "", isThis: true, version: "", addresses: [], since: time)
            ),
            (schemas["Presence"]?.properties?["users"]?.items, ChannelUser(user: "", connections: 0, since: time)),
        ] {
            let schema = try #require(schema)
            let described = (schema.properties ?? [:]).map { name, property in
                Field(
                    name: name, kind: property.type.flatMap(Field.Kind.init) ?? .string,
                    isOptional: schema.required?.contains(name) != true)
            }
            #expect(Set(described) == Set(Field.all(of: row)))
        }
    }
}
