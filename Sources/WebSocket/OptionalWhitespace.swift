extension StringProtocol where SubSequence == Substring {
    /// The text without leading and trailing spaces and tabs (OWS of RFC 9110, section 5.6.3).
    package var trimmed: Substring {
        let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 0x09 }
        var rest = self[...].utf8.drop(while: isBlank)
        while let last = rest.last, isBlank(last) { rest = rest.dropLast() }
        return Substring(rest)
    }
}
