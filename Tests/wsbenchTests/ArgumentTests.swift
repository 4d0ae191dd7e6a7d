import Testing

@testable import wsbench

@Suite("An option's value")
struct ArgumentTests {
    @Test(
        "is a size",
        arguments: [("128", 128), ("0", 0), ("512B", 512), ("64KiB", 65536), ("1.5MiB", 1_572_864), ("10kB", 10_000)])
    func size(_ text: String, _ bytes: Int) { #expect(ByteCount(argument: text)?.bytes == bytes) }

    @Test("is no size", arguments: ["", "B", "-1", "1.5", "12K", "64kib", "1e3", "1.", "9999999GiB", "１２"])
    func noSize(_ text: String) { #expect(ByteCount(argument: text) == nil) }

    @Test(
        "is a time",
        arguments: [
            ("10s", 10_000_000_000), ("250ms", 250_000_000), ("1.5s", 1_500_000_000), ("1m30s", 90_000_000_000),
            ("0s", 0), ("1h", 3_600_000_000_000), ("50us", 50_000),
        ] as [(String, UInt64)])
    func time(_ text: String, _ nanoseconds: UInt64) { #expect(TimeSpan(argument: text)?.nanoseconds == nanoseconds) }

    @Test("is no time", arguments: ["", "10", "s", "10 s", "-1s", "30s1m", "1s1s", "1d", "1000h"])
    func noTime(_ text: String) { #expect(TimeSpan(argument: text) == nil) }

    @Test("is a burst")
    func burst() throws {
        let burst = try #require(Burst(argument: "64KiBx20"))
        #expect(burst.size.bytes == 65536)
        #expect(burst.count == 20)
    }

    @Test("is no burst", arguments: ["", "x", "64KiB", "64KiBx", "x20", "64KiBx0", "64KiBx1.5", "64x-1"])
    func noBurst(_ text: String) { #expect(Burst(argument: text) == nil) }

    @Test("is a rate", arguments: [("500", 500), ("500/s", 500), ("0", 0), ("0.5", 0.5)])
    func rate(_ text: String, _ perSecond: Double) { #expect(ConnectRate(argument: text)?.perSecond == perSecond) }

    @Test("is no rate", arguments: ["", "/s", "5/m", "-5"])
    func noRate(_ text: String) { #expect(ConnectRate(argument: text) == nil) }

    @Test(
        "is no header field",
        arguments: ["", "a", ": b", "a b: c", "a: b\r\nc: d", "Sec-WebSocket-Key: x", "upgrade: websocket"])
    func noField(_ text: String) { #expect(HeaderField(argument: text) == nil) }

    @Test("is shown as it may be written")
    func text() {
        #expect(ByteCount(65536).text == "64KiB")
        #expect(ByteCount(1000).text == "1000")
        #expect(TimeSpan(seconds: 10).text == "10s")
        #expect(TimeSpan(seconds: 0.25).text == "250ms")
    }
}
