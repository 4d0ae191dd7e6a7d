/// A field of a type that is sent to others, as its Swift declaration has it.
struct Field: Hashable, CustomStringConvertible {
    /// The kinds of values, by the words of OpenAPI.
    enum Kind: String {
        case string, integer, number, boolean, array, object
    }

    var name: String
    var kind: Kind
    var isOptional: Bool

    var description: String { "\(name)\(isOptional ? "?" : ""): \(kind)" }

    /// The fields of a value whose type has a property for each.
    static func all(of value: Any) -> [Field] {
        Mirror(reflecting: value).children.map { child in
            let type = Swift.type(of: child.value)
            let wrapped = (type as? any OptionalType.Type)?.wrapped ?? type
            return Field(
                name: child.label ?? "?", kind: kind(of: wrapped), isOptional: wrapped != type)
        }
    }

    private static func kind(of type: Any.Type) -> Kind {
        switch type {
        case is Int.Type: .integer
        case is Double.Type: .number
        case is Bool.Type: .boolean
        case is any RandomAccessCollection.Type: .array
        // What is written as one string: names, addresses, ids, times, choices.
        case is any RawRepresentable.Type, is any CustomStringConvertible.Type: .string
        default: .object
        }
    }
}

private protocol OptionalType {
    static var wrapped: Any.Type { get }
}

extension Optional: OptionalType {
    fileprivate static var wrapped: Any.Type { Wrapped.self }
}
