/// Formats times according to RFC 3339, in UTC with milliseconds. The text of the last second is kept, because most
/// times are in it.
struct TimeText {
    private var second = Int64.min
    private var bytes: [UInt8] = []

    /// - Parameter time: milliseconds since 1970; a time outside of the years 1970 to 9999 becomes the nearest one
    ///   within.
    mutating func text(of time: Int64) -> [UInt8] {
        let time = min(max(time, 0), 253_402_300_799_999)
        if time / 1_000 != second {
            second = time / 1_000
            bytes = Self.wholeSecond(second)
        }
        Self.write(time % 1_000, digits: 3, to: &bytes, at: 20)
        return bytes
    }

    /// The text `YYYY-MM-DDTHH:MM:SS.000Z` of a second. The date is computed from the 400-year cycle of 146,097 days.
    private static func wholeSecond(_ second: Int64) -> [UInt8] {
        let days = second / 86_400 + 719_468
        let era = days / 146_097
        let dayOfEra = days % 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        // Months are counted from March, so that the leap day is the last day of a year.
        let month = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * month + 2) / 5 + 1
        let civilMonth = month < 10 ? month + 3 : month - 9
        let year = era * 400 + yearOfEra + (civilMonth <= 2 ? 1 : 0)
        var bytes = Array("0000-00-00T00:00:00.000Z".utf8)
        write(year, digits: 4, to: &bytes, at: 0)
        write(civilMonth, digits: 2, to: &bytes, at: 5)
        write(day, digits: 2, to: &bytes, at: 8)
        write(second % 86_400 / 3_600, digits: 2, to: &bytes, at: 11)
        write(second % 3_600 / 60, digits: 2, to: &bytes, at: 14)
        write(second % 60, digits: 2, to: &bytes, at: 17)
        return bytes
    }

    private static func write(_ number: Int64, digits: Int, to bytes: inout [UInt8], at position: Int) {
        var rest = number
        for offset in (0..<digits).reversed() {
            bytes[position + offset] = UInt8(ascii: "0") + UInt8(rest % 10)
            rest /= 10
        }
    }
}
