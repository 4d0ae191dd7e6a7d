/// Decimal numbers in options.
enum Number {
    /// A number, perhaps with a fraction, and the text after it; nil if the text doesn't begin with a number.
    static func split(_ text: String) -> (number: Double, unit: String)? {
        let digits = text.prefix { $0.isASCII && $0.isNumber || $0 == "." }
        guard digits.first?.isNumber == true, digits.last != ".", digits.count <= 15,
            let number = Double(String(digits))
        else { return nil }
        return (number, String(text[digits.endIndex...]))
    }

    /// A number with a fixed number of decimals, rounded.
    static func fixed(_ value: Double, _ digits: Int) -> String {
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = (abs(value) * scale).rounded()
        guard scaled < 1e18 else { return "\(value)" }
        let number = Int(scaled)
        let sign = value < 0 && number > 0 ? "-" : ""
        guard digits > 0 else { return "\(sign)\(number)" }
        let fraction = String(number % Int(scale))
        return "\(sign)\(number / Int(scale))." + String(repeating: "0", count: digits - fraction.count) + fraction
    }
}
