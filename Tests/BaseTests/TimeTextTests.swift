import Base
import Testing

@Suite struct TimeTextTests {
    @Test(arguments: [
        (0, "1970-01-01T00:00:00.000Z"), (1, "1970-01-01T00:00:00.001Z"),
        (951_782_399_999, "2000-02-28T23:59:59.999Z"), (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (1_709_251_199_123, "2024-02-29T23:59:59.123Z"), (1_709_251_200_000, "2024-03-01T00:00:00.000Z"),
        (4_107_542_399_000, "2100-02-28T23:59:59.000Z"), (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"), (-1, "1970-01-01T00:00:00.000Z"),
    ])
    func `a time is written as RFC 3339 has it`(time: Int64, text: String) {
        var clock = TimeText()
        let written = clock.text(of: time)
        #expect(String(decoding: written, as: UTF8.self) == text)
    }

    @Test func `the kept second does not show in the next`() {
        var clock = TimeText()
        _ = clock.text(of: 1_999)
        let atTwo = clock.text(of: 2_000)
        #expect(String(decoding: atTwo, as: UTF8.self) == "1970-01-01T00:00:02.000Z")
        let later = clock.text(of: 2_345)
        #expect(String(decoding: later, as: UTF8.self) == "1970-01-01T00:00:02.345Z")
    }
}
