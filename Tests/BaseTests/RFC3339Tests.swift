import Base
import Testing

@Suite("A moment as text")
struct RFC3339Tests {
    @Test(
        "is read and written alike",
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59.999Z"),
            (1_795_467_452_015, "2026-11-23T20:57:32.015Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] as [(Int64, String)])
    func both(_ milliseconds: Int64, _ text: String) {
        #expect(RFC3339.string(millisecondsSinceEpoch: milliseconds) == text)
        #expect(RFC3339.millisecondsSinceEpoch(text) == milliseconds)
    }

    @Test(
        "is nothing else",
        arguments: [
            "", "2026-11-23", "2026-11-23T20:57:32Z", "2026-11-23T20:57:32.015+00", "2026-13-23T20:57:32.015Z",
            "2026-11-23T24:57:32.015Z", "2026-11-23 20:57:32.015Z", "２026-11-23T20:57:32.0Z",
            "20a6-11-23T20:57:32.015Z",
        ])
    func invalid(_ text: String) {
        #expect(RFC3339.millisecondsSinceEpoch(text) == nil)
    }
}
