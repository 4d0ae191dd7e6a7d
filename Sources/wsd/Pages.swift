import Crypto
import Engine
import WebSocket

/// The pages served besides WebSockets: the chat page and the client library, compiled into the program.
enum Pages {
    /// - Parameter endpoint: the path of the endpoint that the chat page talks to; without one there is no chat page.
    static func make(endpoint: String?) -> [String: Page] {
        var pages = [
            "/wsd.js": library(PackageResources.wsd_js, "text/javascript; charset=utf-8"),
            "/wsd.d.ts": library(PackageResources.wsd_d_ts, "application/typescript; charset=utf-8"),
        ]
        pages["/"] = endpoint.map(chat)
        return pages
    }

    /// The chat page. Its policy allows its own style and script and the library, and nothing else.
    private static func chat(endpoint: String) -> Page {
        let style = "\n" + String(decoding: PackageResources.chat_css, as: UTF8.self)
        let script = "\n" + String(decoding: PackageResources.chat_js, as: UTF8.self)
        let text = String(decoding: PackageResources.chat_html, as: UTF8.self)
            .replacing("data-endpoint=\"/chat\"", with: "data-endpoint=\"\(attribute(endpoint))\"", maxReplacements: 1)
            .replacing("</style>", with: style + "</style>", maxReplacements: 1)
            .replacing("</script>", with: script + "</script>", maxReplacements: 1)
        let policy = [
            "default-src 'none'",
            "style-src \(hash(of: style))",
            "script-src \(hash(of: script)) 'self'",
            "connect-src 'self' ws: wss:",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ].joined(separator: "; ")
        return page(
            Array(text.utf8), "text/html; charset=utf-8",
            fields: ["Content-Security-Policy: \(policy)", "Referrer-Policy: no-referrer"], isForPeople: true)
    }

    /// A module that pages of other origins may import as well.
    private static func library(_ body: [UInt8], _ contentType: String) -> Page {
        page(
            body, contentType,
            fields: ["Access-Control-Allow-Origin: *", "Cross-Origin-Resource-Policy: cross-origin"])
    }

    private static func page(
        _ body: [UInt8], _ contentType: String, fields: [String], isForPeople: Bool = false
    ) -> Page {
        let digest = Array(SHA256.hash(data: body).prefix(12))
        return Page(
            body: body, contentType: contentType, entityTag: "\"\(Base64.encode(digest))\"", fields: fields,
            isForPeople: isForPeople)
    }

    /// A path as the value of an attribute in double quotes. Of the characters that a path may contain, only "&"
    /// matters there.
    private static func attribute(_ path: String) -> String { path.replacing("&", with: "&amp;") }

    /// The source expression for an inline element (CSP Level 3, section 2.3.1).
    private static func hash(of content: String) -> String {
        "'sha256-\(Base64.encode(Array(SHA256.hash(data: Array(content.utf8)))))'"
    }
}
