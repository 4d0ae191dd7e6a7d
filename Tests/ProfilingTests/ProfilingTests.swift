import Testing

@testable import Profiling

@Suite("Profiles", .serialized)
struct ProfilingTests {
    @Test(
        "names of Swift are shown without types",
        arguments: [
            ("Engine.Worker.run() -> ()", "Engine.Worker.run()"),
            (
                "Engine.Worker.flush(_: Swift.Int, _: Swift.UnsafeMutablePointer<Engine.Connection>, through: Engine.SendRing?) -> ()",
                "Engine.Worker.flush(_:_:through:)"
            ),
            ("Engine.Worker.(transmit in _BF8ABEF4A4D7)(_: Swift.UInt32) -> ()", "Engine.Worker.transmit(_:)"),
            (
                "closure #1 (Swift.Int) -> Swift.Int in M.f(a: (Swift.Int, b: [M.T]) -> Swift.Int) async throws -> ()",
                "closure #1 (_:) in M.f(a:)"
            ),
            ("plain_c_name", "plain_c_name"),
            ("M.S.subscript.getter : (Swift.Int) -> Swift.Int", "M.S.subscript.getter : (_:)"),
        ])
    func names(demangled: String, shown: String) {
        #expect(Demangling.shortened(demangled) == shown)
    }

    @Test("a mangled name is demangled, another stays")
    func demangling() {
        #expect(Demangling.name(of: "$s6Engine6WorkerC3runyyF") == "Engine.Worker.run()")
        #expect(Demangling.name(of: "memcpy") == "memcpy")
    }

    @Test("numbers are written as Protocol Buffers has them")
    func protobuf() {
        var writer = ProtobufWriter()
        writer.field(1, 150)
        writer.field(2, Array("testing".utf8))
        writer.field(3, 0)
        writer.field(4, packed: [3, 270, 86942])
        #expect(
            writer.bytes == [
                0x08, 0x96, 0x01, 0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6E, 0x67, 0x22, 0x06, 0x03, 0x8E, 0x02,
                0x9E, 0xA7, 0x05,
            ])
    }

    @Test("the program's own functions are found by their addresses")
    func symbols() {
        let symbols = Symbols()
        #expect(!symbols.isEmpty && symbols.codeEnd > symbols.codeStart)
        let names = (symbols.codeStart..<symbols.codeEnd).striding(by: 4096).compactMap { symbols.symbol(at: $0) }
        #expect(names.contains { $0.hasPrefix("$s") })
        #expect(symbols.symbol(at: 1) == nil)
    }

    @Test("every thread is seen, this one with what it does")
    func stacks() throws {
        let text = try Sampler.threadStacks()
        #expect(text.contains("threadStacks()"))
    }

    @Test("a loop is found in the profile by its name, and only one profile is taken at a time")
    func profile() async throws {
        let spinner = Task.detached { while !Task.isCancelled { spin() } }
        let bytes = try await Sampler.cpuProfile(seconds: 1)
        spinner.cancel()
        #expect(String(decoding: bytes, as: UTF8.self).contains("spin"))
        let long = Task { try await Sampler.cpuProfile(seconds: 300) }
        var isRefused = false
        while !isRefused {
            await Task.yield()
            do { _ = try Sampler.threadStacks() } catch is Sampler.Busy { isRefused = true }
        }
        // Cut short, it is still a profile.
        long.cancel()
        #expect(try await !long.value.isEmpty)
    }
}

extension Range<UInt64> {
    fileprivate func striding(by step: UInt64) -> StrideTo<UInt64> {
        stride(from: lowerBound, to: upperBound, by: UInt64.Stride(step))
    }
}

@inline(never)
func spin() {
    var number: UInt64 = 1
    for round in 0..<100_000 as Range<UInt64> { number = number &* 6_364_136_223_846_793_005 &+ round }
    withExtendedLifetime(number) {}
}
