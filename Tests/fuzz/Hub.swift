/// Whatever clients, operators and administrators do to a hub, and whenever: it stays, turns, answers, says nothing that is
/// malformed, and keeps nothing of those who are gone. An input is a program of steps (`Program`); threads make it run a
/// little differently each time.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzHub(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var input = Input(start, count)
    Run.execute(input.rest())
    return 0
}

/// Changes a program record by record, so that a step stays what it is when one before it comes or goes.
@_cdecl("LLVMFuzzerCustomMutator")
public func mutateProgram(
    _ bytes: UnsafeMutablePointer<UInt8>?, _ count: Int, _ capacity: Int, _ seed: CUnsignedInt
) -> Int {
    guard let bytes else { return count }
    var random = Random(seed: UInt64(seed))
    var program = Array(UnsafeBufferPointer(start: bytes, count: count))
    for _ in 0...random.below(3) { Mutation.change(&program, &random) }
    program = Array(program.prefix(capacity))
    for (place, byte) in program.enumerated() { bytes[place] = byte }
    return program.count
}

/// The beginning of one program and the end of another.
@_cdecl("LLVMFuzzerCustomCrossOver")
public func crossPrograms(
    _ one: UnsafePointer<UInt8>?, _ oneCount: Int, _ other: UnsafePointer<UInt8>?, _ otherCount: Int,
    _ output: UnsafeMutablePointer<UInt8>?, _ capacity: Int, _ seed: CUnsignedInt
) -> Int {
    guard let output else { return 0 }
    var random = Random(seed: UInt64(seed))
    let size = Program.recordByteCount
    let head = UnsafeBufferPointer(start: one, count: oneCount).prefix(size * random.below(oneCount / size + 1))
    let tail = UnsafeBufferPointer(start: other, count: otherCount).dropFirst(
        size * random.below(otherCount / size + 1))
    let crossed = Array((Array(head) + Array(tail)).prefix(capacity))
    for (place, byte) in crossed.enumerated() { output[place] = byte }
    return crossed.count
}
