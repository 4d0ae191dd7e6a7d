extension ValueFormat {
    /// An array of such values. Every invalid element is reported, and so is every duplicate.
    static func array<Element: Equatable>(
        of element: ValueFormat<Element>, _ plural: String, atLeast least: Int = 0
    ) -> ValueFormat where Value == [Element] {
        let expected = "an array of \(plural)"
        return ValueFormat(
            type: "array of \(plural)", expected: expected, range: least > 0 ? "at least \(least)" : nil,
            decode: { node, decoding in
                guard case .array(let elements) = node.value else {
                    decoding.reportType(node, expected: expected)
                    return nil
                }
                guard elements.count >= least else {
                    decoding.report("the array is empty; give at least \(least) of the \(plural)", at: node)
                    return nil
                }
                var values: [Element] = []
                for node in elements {
                    guard let value = element.decode(node, &decoding) else { continue }
                    if values.contains(value) {
                        decoding.report("\(element.text(value)) is there twice; leave one out", at: node)
                    }
                    values.append(value)
                }
                return values
            },
            text: { "[" + $0.map(element.text).joined(separator: ", ") + "]" })
    }
}
