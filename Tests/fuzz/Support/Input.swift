/// What the fuzzer made up, taken from the front: first the choices, then the bytes under test.
struct Input: ~Copyable {
    private var bytes: UnsafeBufferPointer<UInt8>.SubSequence

    init(_ start: UnsafePointer<UInt8>?, _ count: Int) { bytes = UnsafeBufferPointer(start: start, count: count)[...] }

    /// The next byte; 0 behind the last.
    mutating func byte() -> UInt8 { bytes.popFirst() ?? 0 }

    /// Which of these the next byte chooses.
    mutating func choice<Value>(of values: [Value]) -> Value { values[Int(byte()) % values.count] }

    /// The sizes of the pieces that a peer's bytes arrive in: one to seven, used in turn.
    mutating func pieceSizes() -> [Int] { (0..<max(1, byte() % 8)).map { _ in max(1, Int(byte())) } }

    /// The next bytes, as many as there are.
    mutating func bytes(_ count: Int) -> [UInt8] {
        defer { bytes = bytes.dropFirst(count) }
        return Array(bytes.prefix(count))
    }

    mutating func rest() -> [UInt8] { bytes(bytes.count) }
}

/// Stops the fuzzer, which then keeps the input.
func require(
    _ condition: Bool, _ message: @autoclosure () -> String, file: StaticString = #fileID, line: UInt = #line
) {
    guard !condition else { return }
    fatalError(message(), file: file, line: line)
}

/// A copy that ends where its memory ends, so that AddressSanitizer sees a byte read behind it.
func withExactCopy<Result>(
    of bytes: some Collection<UInt8>, _ body: (UnsafeMutableRawBufferPointer) -> Result
) -> Result {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    defer { copy.deallocate() }
    copy.copyBytes(from: bytes)
    return body(copy)
}
