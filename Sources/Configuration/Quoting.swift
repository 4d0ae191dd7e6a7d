/// A text as a TOML string: in double quotes, with characters escaped that would break a line or disturb a terminal.
func quoted(_ text: some StringProtocol) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
        switch scalar {
        case "\"": result += "\\\""
        case "\\": result += "\\\\"
        case "\n": result += "\\n"
        case "\r": result += "\\r"
        case "\t": result += "\\t"
        // Control characters, and characters that reverse the direction of the text around them.
        case _ where scalar.properties.generalCategory == .control || scalar.properties.generalCategory == .format:
            let digits = String(scalar.value, radix: 16, uppercase: true)
            result += "\\U" + String(repeating: "0", count: 8 - digits.count) + digits
        default: result.unicodeScalars.append(scalar)
        }
    }
    return result + "\""
}

/// A list of texts for a sentence: "a", "b" or "c", each in quotes.
func listed(_ texts: [String], _ conjunction: String) -> String {
    let texts = texts.map { quoted($0) }
    guard let last = texts.last, texts.count > 1 else { return texts.first ?? "" }
    return texts.dropLast().joined(separator: ", ") + " \(conjunction) " + last
}
