/// A place in a file: line and column from 1, columns in Unicode code points.
struct SourcePosition: Sendable, Hashable, Comparable {
    let line: Int
    let column: Int

    static func < (left: SourcePosition, right: SourcePosition) -> Bool {
        (left.line, left.column) < (right.line, right.column)
    }
}

/// A value in a TOML text, with its position.
struct TOMLNode: Sendable, Equatable {
    let position: SourcePosition
    let value: Value

    enum Value: Sendable, Equatable {
        case string(String)
        case integer(Int)
        case float(Double)
        case boolean(Bool)
        case datetime(String)
        case array([TOMLNode])
        case table([Entry])
    }

    /// A key of a table with its value, in the order of the text.
    struct Entry: Sendable, Equatable {
        /// One component of the key: `a.b` is an entry "a" with a table that has an entry "b".
        let key: String
        let keyPosition: SourcePosition
        let node: TOMLNode
    }

    /// Whether this is a table, or an array of tables.
    var isTable: Bool {
        switch value {
        case .table: true
        case .array(let elements): elements.first?.isTable ?? false
        default: false
        }
    }

    /// The value for an error message: its kind and, if it is short, the value itself.
    var description: String {
        switch value {
        case .string(let text): "the string \(quoted(text.count <= 60 ? text : text.prefix(57) + "..."))"
        case .integer(let number): "the integer \(number)"
        case .float(let number): "the float \(number)"
        case .boolean(let flag): "the boolean \(flag)"
        case .datetime(let text): "the date or time \(text)"
        case .array(let elements): elements.isEmpty ? "an empty array" : "an array"
        case .table: "a table"
        }
    }

    /// The kind only, for a value that must not be shown.
    var kindDescription: String {
        switch value {
        case .string: "a string"
        case .integer: "an integer"
        case .float: "a float"
        case .boolean: "a boolean"
        case .datetime: "a date or time"
        case .array: "an array"
        case .table: "a table"
        }
    }
}
