import Base

/// Writes texts that many connections have in common, each once: where it first occurs, behind its number. 0 stands for
/// none.
struct SharedTextWriter {
    private var numbers: [String: UInt64] = [:]

    mutating func write(_ text: String?, to state: inout StateWriter) {
        guard let text else {
            state.write(UInt64(0))
            return
        }
        if let number = numbers[text] {
            state.write(number)
            return
        }
        let number = UInt64(numbers.count + 1)
        numbers[text] = number
        state.write(number)
        state.write(text)
    }
}

/// Reads what a `SharedTextWriter` has written.
struct SharedTextReader {
    private var texts: [String] = []

    mutating func read(from state: inout StateReader) throws(StateError) -> String? {
        let number = try state.count(atMost: texts.count + 1)
        guard number > 0 else { return nil }
        if number <= texts.count { return texts[number - 1] }
        let text = try state.text()
        texts.append(text)
        return text
    }
}
