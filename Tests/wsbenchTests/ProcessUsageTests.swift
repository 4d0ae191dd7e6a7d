import Glibc
import Testing

@testable import wsbench

@Suite("What a process uses")
struct ProcessUsageTests {
    @Test("is read whatever the process calls itself")
    func stat() {
        let fields = (4...22).map(String.init).joined(separator: " ")
        let stat = "123 (a) b (c) S \(fields) 1000000 42 18446744073709551615"
        let usage = ProcessUsage.parse(stat: stat, ticksPerSecond: 100, pageByteCount: 4096)
        // Fields 14 and 15 are the numbers 14 and 15 here, field 24 is 42.
        #expect(usage == ProcessUsage(cpuSeconds: 0.29, residentBytes: 42 * 4096))
        #expect(ProcessUsage.parse(stat: "1 (x) S 1", ticksPerSecond: 100, pageByteCount: 4096) == nil)
        #expect(ProcessUsage.parse(stat: "", ticksPerSecond: 100, pageByteCount: 4096) == nil)
    }

    @Test("is there for this process, and not for one that isn't")
    func own() throws {
        #expect(try #require(ProcessUsage.ofTree(getpid())).residentBytes > 100_000)
        #expect(ProcessUsage.ofTree(Int32.max) == nil)
    }
}
