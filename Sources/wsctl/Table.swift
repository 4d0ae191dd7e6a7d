import Terminal

/// A table that is written while its rows arrive: the first rows determine the widths of the columns, and a wider value
/// later pushes the rest of its line to the right. The last column is cut at the terminal's width.
struct Table {
    /// The alignment of a column.
    enum Alignment {
        case left, right
    }

    private let columns: [(title: String, alignment: Alignment)]
    private let terminalWidth: Int?
    private let hasLegend: Bool
    private let hasColor: Bool
    private var widths: [Int] = []

    /// A table of some columns.
    ///
    /// - Parameters:
    ///   - columns: titles and alignments.
    ///   - terminalWidth: the width at which lines are cut; nil for never.
    ///   - hasLegend: whether the titles are shown.
    ///   - hasColor: whether the titles are bold.
    init(columns: [(title: String, alignment: Alignment)], terminalWidth: Int?, hasLegend: Bool, hasColor: Bool) {
        self.columns = columns
        self.terminalWidth = terminalWidth
        self.hasLegend = hasLegend
        self.hasColor = hasColor
    }

    /// A table that suits the output that it is written to.
    init(columns: [(title: String, alignment: Alignment)], for output: Output, hasLegend: Bool) {
        self.init(
            columns: columns, terminalWidth: output.terminalWidth, hasLegend: hasLegend, hasColor: output.hasColor)
    }

    /// Writes rows that are escaped already, and the titles before the first ones.
    mutating func write(_ rows: [[String]], to output: Output) throws {
        if widths.isEmpty {
            let titles = columns.map(\.title)
            widths = columns.indices.map { column in
                ((hasLegend ? [titles] : []) + rows).map { TerminalText.width($0[column]) }.max() ?? 0
            }
            if hasLegend {
                let line = line(titles)
                try output.write(line: hasColor ? "\u{1b}[1m\(line)\u{1b}[0m" : line)
            }
        }
        for row in rows { try output.write(line: line(row)) }
    }

    private func line(_ row: [String]) -> String {
        var line = ""
        for (column, value) in row.dropLast().enumerated() {
            let padding = String(repeating: " ", count: max(0, widths[column] - TerminalText.width(value)))
            line += columns[column].alignment == .left ? value + padding : padding + value
            line += "  "
        }
        line += row.last ?? ""
        if let terminalWidth { line = TerminalText.truncate(line, to: terminalWidth) }
        // No trailing blanks: they would only wrap, or confuse a diff.
        while line.last == " " { line.removeLast() }
        return line
    }
}
