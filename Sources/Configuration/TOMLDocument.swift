internal import CToml

/// Reads a TOML text with toml++, and keeps the position of each key and value.
enum TOMLDocument {
    /// An error in a text that is not TOML; the parser stops there.
    struct SyntaxError: Error {
        let position: SourcePosition
        let message: String
    }

    /// The entries of the text's outermost table.
    static func parse(_ bytes: [UInt8]) throws(SyntaxError) -> [TOMLNode.Entry] {
        let document = bytes.withUnsafeBytes { bytes in
            ctoml_parse(bytes.baseAddress?.assumingMemoryBound(to: CChar.self), bytes.count)
        }
        guard let document else {
            throw SyntaxError(position: SourcePosition(line: 1, column: 1), message: "no memory left to read it")
        }
        defer { ctoml_free(document) }
        if let error = ctoml_get_error(document) {
            // toml++ begins most of its messages with this, and the others with a sentence.
            let message = string(error.pointee.message)
            let reason = message.hasPrefix("Error while") ? String(message.dropFirst(5)) : ": \(message)"
            throw SyntaxError(position: position(error.pointee.position), message: "syntax error\(reason)")
        }
        var reader = Reader(document: document)
        return reader.entries(at: 0)
    }

    private static func string(_ text: ctoml_text) -> String {
        String(decoding: UnsafeRawBufferPointer(start: text.bytes, count: text.length), as: UTF8.self)
    }

    private static func position(_ position: ctoml_position) -> SourcePosition {
        SourcePosition(line: Int(position.line), column: Int(position.column))
    }

    /// Turns the flat list of items, in which a parent precedes its children, into a tree. Must not outlive the
    /// document.
    private struct Reader {
        let document: OpaquePointer
        var next = 0

        private mutating func take(at depth: UInt32) -> ctoml_item? {
            guard next < ctoml_get_count(document) else { return nil }
            let item = ctoml_get_item(document, next)
            guard item.depth == depth else { return nil }
            next += 1
            return item
        }

        mutating func entries(at depth: UInt32) -> [TOMLNode.Entry] {
            var entries: [TOMLNode.Entry] = []
            while let item = take(at: depth) {
                let node = node(item)
                entries.append(
                    TOMLNode.Entry(key: string(item.key), keyPosition: position(item.key_position), node: node))
            }
            return entries
        }

        private mutating func elements(at depth: UInt32) -> [TOMLNode] {
            var elements: [TOMLNode] = []
            while let item = take(at: depth) {
                elements.append(node(item))
            }
            return elements
        }

        private mutating func node(_ item: ctoml_item) -> TOMLNode {
            let value: TOMLNode.Value =
                switch item.kind {
                case CTOML_STRING: .string(string(item.text))
                case CTOML_INTEGER: .integer(Int(item.integer))
                case CTOML_FLOAT: .float(item.floating)
                case CTOML_BOOLEAN: .boolean(item.boolean)
                case CTOML_DATETIME: .datetime(string(item.text))
                case CTOML_ARRAY: .array(elements(at: item.depth + 1))
                default: .table(entries(at: item.depth + 1))
                }
            return TOMLNode(position: position(item.value_position), value: value)
        }
    }
}
