internal import Control
internal import NIOHTTP1

/// The description of the API (OpenAPI 3.1), for programs.
enum OpenAPI {
    static let answer = Answer(.ok, "application/json", document)

    private static var document: [UInt8] {
        let text = String(decoding: PackageResources.openapi_json, as: UTF8.self)
        return Array(text.replacing("\"VERSION\"", with: "\"\(WSD.version)\"", maxReplacements: 1).utf8)
    }
}
