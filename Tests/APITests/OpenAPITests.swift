import Control
import FoundationEssentials
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
}
