/// The state while the value of one key is decoded: the key, and the problems found.
struct ValueDecoding {
    let key: ConfigurationKey
    /// An allowed value, for messages.
    let example: String
    var problems: [(position: SourcePosition, message: String)] = []

    mutating func report(_ message: String, at node: TOMLNode) {
        problems.append((node.position, "\(key.path): \(message)"))
    }

    /// Reports a value of the wrong type.
    mutating func reportType(_ node: TOMLNode, expected: String) {
        let shown = key.isSecret ? node.kindDescription : node.description
        report("got \(shown); give \(expected), such as \(key.name) = \(example)", at: node)
    }

    /// Reports a value of the right type that is invalid.
    mutating func report(_ error: InvalidValue, at node: TOMLNode) {
        report(error.description, at: node)
    }
}
