import Settings
import Testing

@testable import Configuration

@Suite("Sizes")
struct ByteCountTextTests {
    @Test(
        "are read, and printed with the largest unit that fits",
        arguments: [
            ("0B", 0, "0"), ("1B", 1, "1"), ("64KiB", 65_536, "\"64KiB\""), ("1MiB", 1_048_576, "\"1MiB\""),
            ("1GiB", 1_073_741_824, "\"1GiB\""), ("10kB", 10_000, "10000"), ("1MB", 1_000_000, "1000000"),
            ("1.5MiB", 1_572_864, "\"1536KiB\""), ("0.5KiB", 512, "512"), ("2TiB", 2 << 40, "\"2TiB\""),
            ("1.0B", 1, "1"),
        ])
    func read(text: String, byteCount: Int, printed: String) throws {
        #expect(try ByteCountText.parse(text) == byteCount)
        #expect(ByteCountText.text(byteCount) == printed)
    }

    @Test(
        "that are none are refused with the way out",
        arguments: [
            ("", "\"\" is no size; write a number and a unit, such as \"64KiB\""),
            ("KiB", "\"KiB\" is no size; write a number and a unit, such as \"64KiB\""),
            ("-1KiB", "\"-1KiB\" is no size; write a number and a unit, such as \"64KiB\""),
            ("1.KiB", "\"1.KiB\" is no size; write a number and a unit, such as \"64KiB\""),
            ("1.2.3KiB", "\"1.2.3KiB\" is no size; write a number and a unit, such as \"64KiB\""),
            ("64", "\"64\" has no unit; write \"64KiB\", or for bytes \"64B\""),
            ("64K", "\"64K\": \"K\" is no unit; write \"64KiB\" or \"64kB\""),
            ("64KB", "\"64KB\": \"KB\" is no unit; write \"64KiB\" or \"64kB\""),
            ("64kib", "\"64kib\": \"kib\" is no unit; write \"64KiB\""),
            ("1m", "\"1m\": \"m\" is no unit; write \"1MiB\" or \"1MB\""),
            ("1b", "\"1b\": \"b\" is no unit; write \"1B\""),
            ("64 KiB", "\"64 KiB\": \" KiB\" is no unit; write \"64KiB\""),
            ("1PiB", "\"1PiB\": \"PiB\" is no unit; write \"1KiB\" or \"1MiB\""),
            ("0.3B", "\"0.3B\" is no whole number of bytes; round it"),
            ("1.3KiB", "\"1.3KiB\" is no whole number of bytes; round it"),
            ("9999999999999TiB", "\"9999999999999TiB\" is too large; a size has 12 digits and 1024TiB at most"),
            (
                "99999999999999999999B",
                "\"99999999999999999999B\" is too large; a size has 12 digits and 1024TiB at most"
            ),
        ])
    func refused(text: String, error: String) {
        #expect(throws: InvalidValue(error)) { try ByteCountText.parse(text) }
    }

    @Test("A plain integer is bytes")
    func integer() throws {
        #expect(try loaded("queue.limit = 65_536").configuration.queue.limitByteCount == 65_536)
        #expect(try loaded("queue.limit = \"65.536kB\"").configuration.queue.limitByteCount == 65_536)
    }
}
