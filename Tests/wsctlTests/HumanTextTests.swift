import Base
import Testing

@testable import wsctl

@Suite("A number for a person")
struct HumanTextTests {
    @Test(
        "of bytes has at most four characters",
        arguments: [
            (0, "0"), (999, "999"), (1000, "1.0K"), (1024, "1.0K"), (1536, "1.5K"), (10_188, "9.9K"), (10_240, "10K"),
            (1_022_976, "999K"), (1_048_576, "1.0M"), (1 << 30, "1.0G"), (5 << 40, "5.0T"), (Int.max, "8192P"),
        ])
    func bytes(_ count: Int, _ expected: String) {
        #expect(HumanText.bytes(count) == expected)
    }

    @Test(
        "of things is exact as long as it is short",
        arguments: [(0, "0"), (99_999, "99999"), (100_000, "100k"), (1_234_567, "1.2M"), (999_999, "1.0M")])
    func count(_ count: Int, _ expected: String) {
        #expect(HumanText.count(count) == expected)
    }

    @Test(
        "of seconds has two units",
        arguments: [
            (-1, "0s"), (0.9, "0s"), (59, "59s"), (60, "1m0s"), (252, "4m12s"), (10_920, "3h2m"), (446_400, "5d4h"),
            (.infinity, "0s"), (.nan, "0s"),
        ] as [(Double, String)])
    func duration(_ seconds: Double, _ expected: String) {
        #expect(HumanText.duration(seconds: seconds) == expected)
    }

    @Test("of one thing is not plural")
    func plural() {
        #expect(HumanText.plural(1, "connection") == "1 connection")
        #expect(HumanText.plural(0, "connection") == "0 connections")
    }

    @Test("is part of an address without being taken for another")
    func address() throws {
        #expect(try HumanText.address(#require(IPAddress("192.0.2.7")), port: 80) == "192.0.2.7:80")
        #expect(try HumanText.address(#require(IPAddress("2001:db8::1")), port: 80) == "[2001:db8::1]:80")
    }
}
