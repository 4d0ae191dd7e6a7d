import Crypto
import Engine
import WebSocket

/// The chat page at `/`, compiled into the program.
enum ChatPage {
    /// The page with its answers. Its own style and script are allowed by their hashes, and nothing else is.
    static func make() -> Page {
        let body = PackageResources.chat_html
        let text = String(decoding: body, as: UTF8.self)
        let policy = [
            "default-src 'none'",
            "style-src \(hash(of: "style", in: text))",
            "script-src \(hash(of: "script", in: text))",
            "connect-src 'self' ws: wss:",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        ].joined(separator: "; ")
        return Page(
            body: body,
            contentType: "text/html; charset=utf-8",
            entityTag: "\"\(Base64.encode(Array(SHA256.hash(data: body).prefix(12))))\"",
            fields: ["Content-Security-Policy: \(policy)", "Referrer-Policy: no-referrer"]
        )
    }

    /// The source expression for the one inline element of that name (CSP Level 3, section 2.3.1).
    private static func hash(of element: String, in page: String) -> String {
        guard let start = page.range(of: "<\(element)>")?.upperBound,
            let end = page[start...].range(of: "</\(element)>")?.lowerBound
        else { preconditionFailure("the chat page has no <\(element)>") }
        return "'sha256-\(Base64.encode(Array(SHA256.hash(data: Array(page[start..<end].utf8)))))'"
    }
}

extension StringProtocol {
    /// Where a text stands first; Foundation has this, and 40 MB besides.
    fileprivate func range(of text: String) -> Range<Index>? {
        var start = startIndex
        while let first = self[start...].firstIndex(of: text.first ?? " ") {
            if self[first...].hasPrefix(text) { return first..<index(first, offsetBy: text.count) }
            start = index(after: first)
        }
        return nil
    }
}
