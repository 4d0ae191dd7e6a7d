import Base

/// The counters, which go on in the next process.
extension Statistics {
    /// The order of the numbers in a state. New ones come at the end.
    private static let counters: [any WritableKeyPath<Statistics, UInt64> & Sendable] = [
        \.accepted, \.opened, \.refusedPublications, \.messagesIn, \.messagesOut, \.bytesIn, \.bytesOut, \.dropped,
        \.binaryOut, \.deflatedFrom, \.deflatedTo, \.inflatedFrom, \.inflatedTo,
    ]

    func write(to state: inout StateWriter) {
        state.write(count: Self.counters.count)
        for counter in Self.counters { state.write(self[keyPath: counter]) }
        Self.write(refused.indices.map { refused[$0] }, to: &state)
        Self.write(closed.indices.map { closed[$0] }, to: &state)
        Self.write(closeCodes.indices.map { closeCodes[$0] }, to: &state)
        Self.write(overLimit.indices.map { overLimit[$0] }, to: &state)
        Self.write(framesIn.indices.map { framesIn[$0] }, to: &state)
        Self.write(controlFramesOut.indices.map { controlFramesOut[$0] }, to: &state)
    }

    private static func write(_ numbers: [UInt64], to state: inout StateWriter) {
        state.write(count: numbers.count)
        for number in numbers { state.write(number) }
    }

    /// Adds the counters of a state. Those that this version does not have are left out.
    mutating func add(from state: inout StateReader) throws(StateError) {
        for (index, number) in try Self.numbers(from: &state).enumerated() where index < Self.counters.count {
            self[keyPath: Self.counters[index]] &+= number
        }
        for (index, number) in try Self.numbers(from: &state).enumerated() where index < refused.count {
            refused[index] &+= number
        }
        for (index, number) in try Self.numbers(from: &state).enumerated() where index < closed.count {
            closed[index] &+= number
        }
        for (index, number) in try Self.numbers(from: &state).enumerated() where index < closeCodes.count {
            closeCodes[index] &+= number
        }
        for (index, number) in try Self.numbers(from: &state).enumerated() where index < overLimit.count {
            overLimit[index] &+= number
        }
        for (index, number) in try Self.numbers(from: &state).enumerated() where index < framesIn.count {
            framesIn[index] &+= number
        }
        for (index, number) in try Self.numbers(from: &state).enumerated() where index < controlFramesOut.count {
            controlFramesOut[index] &+= number
        }
    }

    private static func numbers(from state: inout StateReader) throws(StateError) -> [UInt64] {
        var numbers: [UInt64] = []
        for _ in 0..<(try state.elementCount()) {
            let number: UInt64 = try state.number()
            // A counter that grows to half of that has been damaged.
            try state.require(number < 1 << 62, "a counter of \(number)")
            numbers.append(number)
        }
        return numbers
    }
}
