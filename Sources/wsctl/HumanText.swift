import Base

/// Numbers in a form that a person can read at a glance.
enum HumanText {
    /// A byte count in three or four characters: `512`, `1.2K`, `70K`, `3.4M`. Powers of 1024.
    static func bytes(_ count: Int) -> String {
        var value = Double(count)
        var unit = ""
        for next in ["K", "M", "G", "T", "P"] where value >= 1000 {
            // From 1000 on, so that no number has four digits.
            value /= 1024
            unit = next
        }
        if unit.isEmpty { return "\(count)" }
        let tenths = Int((value * 10).rounded())
        return tenths < 100 ? "\(tenths / 10).\(tenths % 10)\(unit)" : "\((tenths + 5) / 10)\(unit)"
    }

    /// A number, shortened from 100,000 on: `99999`, `1.2M`. Powers of 1000.
    static func count(_ count: Int) -> String {
        guard count >= 100_000 else { return "\(count)" }
        var value = Double(count)
        var unit = ""
        for next in ["k", "M", "G", "T", "P"] where value >= 999.5 {
            value /= 1000
            unit = next
        }
        let tenths = Int((value * 10).rounded())
        return tenths < 100 ? "\(tenths / 10).\(tenths % 10)\(unit)" : "\((tenths + 5) / 10)\(unit)"
    }

    /// A number with all its digits: `980`, `14,980`.
    static func grouped(_ count: Int) -> String {
        var text = "\(count.magnitude)"
        for offset in stride(from: text.count - 3, to: 0, by: -3) {
            text.insert(",", at: text.index(text.startIndex, offsetBy: offset))
        }
        return count < 0 ? "-\(text)" : text
    }

    /// A length of time by its two largest units: `0s`, `42s`, `4m12s`, `3h2m`, `5d4h`.
    static func duration(seconds: Double) -> String {
        let seconds = seconds.isFinite ? Int(max(0, min(seconds, 1e15))) : 0
        switch seconds {
        case ..<60: return "\(seconds)s"
        case ..<3600: return "\(seconds / 60)m\(seconds % 60)s"
        case ..<86_400: return "\(seconds / 3600)h\(seconds % 3600 / 60)m"
        default: return "\(seconds / 86_400)d\(seconds % 86_400 / 3600)h"
        }
    }

    /// The time between two moments.
    static func duration(from start: Timestamp, to end: Timestamp) -> String {
        duration(seconds: Double(end.millisecondsSinceEpoch - start.millisecondsSinceEpoch) / 1000)
    }

    /// A count with its noun: `1 connection`, `2 connections`.
    static func plural(_ count: Int, _ noun: String) -> String {
        "\(count) \(noun)\(count == 1 ? "" : "s")"
    }

    /// An address with its port: `192.0.2.7:4242`, `[2001:db8::1]:4242`.
    static func address(_ address: IPAddress, port: Int) -> String {
        let text = address.description
        return text.contains(":") ? "[\(text)]:\(port)" : "\(text):\(port)"
    }
}
