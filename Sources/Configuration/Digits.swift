extension Character {
    /// Whether this is one of 0 to 9; `isNumber` accepts the digits of every script, and a comparison also those with
    /// accents.
    var isDigit: Bool {
        guard let byte = asciiValue else { return false }
        return UInt8(ascii: "0")...UInt8(ascii: "9") ~= byte
    }
}
