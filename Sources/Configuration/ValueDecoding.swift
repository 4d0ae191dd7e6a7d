/// The state while the value of one key is decoded: what is asked for, and what was wrong.
struct ValueDecoding {
    let key: ConfigurationKey
    /// An allowed value for messages.
    let example: String
    var problems: [(position: SourcePosition, message: String)] = []

    mutating func report(_ message: String, at node: TOMLNode) {
        problems.append((node.position, "\(key.path): \(message)"))
    }

    /// The value was of another type.
    mutating func reportType(_ node: TOMLNode, expected: String) {
        let shown = key.isSecret ? node.kindDescription : node.description
        report("got \(shown); give \(expected), such as \(key.name) = \(example)", at: node)
    }

    /// The value was of the right type and still no good.
    mutating func report(_ error: InvalidValue, at node: TOMLNode) {
        report(error.description, at: node)
    }
}
