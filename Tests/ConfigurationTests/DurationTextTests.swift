import Testing

@testable import Configuration

@Suite("Durations")
struct DurationTextTests {
    @Test(
        "are read, and printed in the shortest form",
        arguments: [
            ("0s", 0, "0s"), ("0ms", 0, "0s"), ("250ms", 250, "250ms"), ("10s", 10_000, "10s"), ("5m", 300_000, "5m"),
            ("1h", 3_600_000, "1h"), ("1d", 86_400_000, "1d"), ("1.5s", 1500, "1.5s"), ("0.25s", 250, "250ms"),
            ("1m30s", 90_000, "1m30s"), ("90s", 90_000, "1m30s"), ("1.5h", 5_400_000, "1h30m"),
            ("1h0.25s", 3_600_250, "1h0.25s"),
            ("1d1ms", 86_400_001, "1d0.001s"), ("1.500s", 1500, "1.5s"), ("1000ms", 1000, "1s"),
            ("1s500ms", 1500, "1.5s"),
            ("0.000000000000s", 0, "0s"), ("24h", 86_400_000, "1d"), ("007s", 7000, "7s"),
        ])
    func read(text: String, milliseconds: Int, printed: String) throws {
        let duration = try DurationText.parse(text)
        #expect(duration == .milliseconds(milliseconds))
        #expect(DurationText.text(duration) == printed)
        #expect(try DurationText.parse(printed) == duration)
    }

    @Test(
        "that are none are refused with the way out",
        arguments: [
            ("", "\"\" is no duration; write one such as \"10s\""),
            ("10", "\"10\" has no unit; for seconds write \"10s\", for milliseconds \"10ms\""),
            ("1m30", "\"1m30\" has no unit; for seconds write \"1m30s\", for milliseconds \"1m30ms\""),
            ("s", "\"s\" is no duration; write a number and a unit, such as \"10s\" or \"1m30s\""),
            ("-1s", "\"-1s\" is no duration; write a number and a unit, such as \"10s\" or \"1m30s\""),
            (".5s", "\".5s\" is no duration; write a number and a unit, such as \"10s\" or \"1m30s\""),
            ("1.s", "\"1.s\" is no duration; write a number and a unit, such as \"10s\" or \"1m30s\""),
            ("10sec", "\"10sec\": \"sec\" is no unit; the units are d, h, m, s and ms"),
            ("10S", "\"10S\": \"S\" is no unit; the units are d, h, m, s and ms"),
            ("30s1m", "\"30s1m\": write larger units first and each once, such as \"1m30s\""),
            ("1s1s", "\"1s1s\": write larger units first and each once, such as \"1m30s\""),
            ("1.5m30s", "\"1.5m30s\": only the last number may have a fraction"),
            ("0.5ms", "\"0.5ms\" is finer than a millisecond; round it"),
            ("1.0005s", "\"1.0005s\" is finer than a millisecond; round it"),
            ("0.00000000001d", "\"0.00000000001d\" is finer than a millisecond; round it"),
            ("99999999999999999999s", "\"99999999999999999999s\" is too long; a duration has 11574d at most"),
            ("9999999999999d", "\"9999999999999d\" is too long; a duration has 11574d at most"),
            ("5\u{301}s", "\"5\u{301}s\" is no duration; write a number and a unit, such as \"10s\" or \"1m30s\""),
        ])
    func refused(text: String, error: String) {
        #expect(throws: InvalidValue(error)) { try DurationText.parse(text) }
    }
}
