/// The rule for the path of a Unix socket: absolute and short enough for sockaddr_un (unix(7)), or empty for none.
enum SocketPath {
    /// The size of sun_path without the NUL at its end.
    static let maxByteCount = 107

    static func parse(_ text: String) throws(InvalidValue) -> String {
        let shown = quoted(text)
        guard !text.isEmpty else { return text }
        guard text.hasPrefix("/") else {
            throw InvalidValue("\(shown) is not absolute; write it from \"/\" on, such as \"/run/wsd/io.wsd.Control\"")
        }
        guard text.utf8.count <= maxByteCount else {
            throw InvalidValue("\(shown) has \(text.utf8.count) bytes; a socket's path has \(maxByteCount) at most")
        }
        guard !text.utf8.contains(0), !text.hasSuffix("/") else {
            throw InvalidValue("\(shown) names no file")
        }
        return text
    }
}
