/// Points in time as text, such as `2026-11-23T20:57:32.015Z`: RFC 3339, UTC, milliseconds.
package enum RFC3339 {
    /// The first and the last millisecond, since 1970, of the years 0 to 9999, which have a text.
    private static let times: ClosedRange<Int64> = -62_167_219_200_000...253_402_300_799_999

    /// The text of a moment; that of the nearest one that has a text, if it has none.
    package static func string(millisecondsSinceEpoch: Int64) -> String {
        String(decoding: bytes(millisecondsSinceEpoch: millisecondsSinceEpoch), as: UTF8.self)
    }

    fileprivate static func bytes(millisecondsSinceEpoch: Int64) -> [UInt8] {
        let time = min(max(millisecondsSinceEpoch, times.lowerBound), times.upperBound)
        let (days, millisecondOfDay) = floorDivide(time, by: 86_400_000)
        let (year, month, day) = civil(daysSinceEpoch: days)
        var bytes = Array("0000-00-00T00:00:00.000Z".utf8)
        write(year, digits: 4, to: &bytes, at: 0)
        write(month, digits: 2, to: &bytes, at: 5)
        write(day, digits: 2, to: &bytes, at: 8)
        write(millisecondOfDay / 3_600_000, digits: 2, to: &bytes, at: 11)
        write(millisecondOfDay / 60_000 % 60, digits: 2, to: &bytes, at: 14)
        write(millisecondOfDay / 1000 % 60, digits: 2, to: &bytes, at: 17)
        write(millisecondOfDay % 1000, digits: 3, to: &bytes, at: 20)
        return bytes
    }

    /// Parses the text of ``string(millisecondsSinceEpoch:)``; nil for anything else.
    package static func millisecondsSinceEpoch(_ text: String) -> Int64? {
        let utf8 = Array(text.utf8)
        guard utf8.count == 24 else { return nil }
        for (position, separator) in zip([4, 7, 10, 13, 16, 19, 23], "--T::.Z".utf8) where utf8[position] != separator {
            return nil
        }
        func number(_ range: Range<Int>) -> Int64? {
            var value: Int64 = 0
            for byte in utf8[range] {
                guard (0x30...0x39).contains(byte) else { return nil }
                value = value * 10 + Int64(byte - 0x30)
            }
            return value
        }
        guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10),
            let hour = number(11..<13), let minute = number(14..<16), let second = number(17..<19),
            let millisecond = number(20..<23), (1...12).contains(month), (1...31).contains(day), hour < 24,
            minute < 60, second < 60
        else { return nil }
        let days = daysSinceEpoch(year: year, month: month, day: day)
        return (((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + millisecond
    }

    fileprivate static func write(_ number: Int64, digits: Int, to bytes: inout [UInt8], at position: Int) {
        var rest = number
        for offset in (0..<digits).reversed() {
            bytes[position + offset] = UInt8(ascii: "0") + UInt8(rest % 10)
            rest /= 10
        }
    }

    private static func floorDivide(_ value: Int64, by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }

    // Years are counted from March, so that the leap day comes last, in eras of 400 years of 146,097 days each;
    // 719,468 days lie between 0000-03-01 and the epoch.

    private static func civil(daysSinceEpoch: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let (era, dayOfEra) = floorDivide(daysSinceEpoch + 719_468, by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, day)
    }

    private static func daysSinceEpoch(year: Int64, month: Int64, day: Int64) -> Int64 {
        let (era, yearOfEra) = floorDivide(month <= 2 ? year - 1 : year, by: 400)
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }
}

/// Writes times as ``RFC3339`` does and keeps the text of the last second, because most times are in it.
package struct TimeText {
    private var second = Int64.min
    private var bytes: [UInt8] = []

    package init() {}

    /// The text of a time.
    ///
    /// - Parameter time: milliseconds since 1970; a time outside of the years 1970 to 9999 becomes the nearest one
    ///   within.
    package mutating func text(of time: Int64) -> [UInt8] {
        let time = min(max(time, 0), 253_402_300_799_999)
        if time / 1_000 != second {
            second = time / 1_000
            bytes = RFC3339.bytes(millisecondsSinceEpoch: second * 1_000)
        }
        RFC3339.write(time % 1_000, digits: 3, to: &bytes, at: 20)
        return bytes
    }
}
