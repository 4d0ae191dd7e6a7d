/// The error message for an unknown key or table: it suggests the name that was probably meant, the table where the key
/// belongs, or the names that exist.
enum UnknownName {
    /// The message for an unknown key in a known table.
    static func key(_ name: String, in section: String) -> String {
        let known = Schema.sections.first { $0.name == section }
        let names = known?.keys.map(\.name) ?? []
        let unknown = "unknown key \(quoted(name)) in \(known?.heading ?? section)"
        if let meant = Suggestion.nearest(to: name, among: names) {
            return "\(unknown); did you mean \(quoted(meant))?"
        }
        return "\(unknown); \(home(of: name) ?? "there are \(listed(names, "and"))")"
    }

    /// The message for an unknown key or table outside of all tables.
    static func outermost(_ entry: TOMLNode.Entry) -> String {
        let meant = Suggestion.nearest(to: entry.key, among: Schema.sections.map(\.name))
        let section = Schema.sections.first { $0.name == meant }
        let suggestion = section.map { "did you mean \($0.heading)?" }
        let all = "there are \(Schema.sections.map(\.heading).joined(separator: ", "))"
        if entry.node.isTable {
            return "unknown table \(quoted(entry.key)); \(suggestion ?? all)"
        }
        return "unknown key \(quoted(entry.key)) outside of the tables; \(home(of: entry.key) ?? suggestion ?? all)"
    }

    /// The table that has such a key, or one with a similar name.
    private static func home(of name: String) -> String? {
        let sections = Schema.sections.filter { $0.keys.contains { $0.name == name } }
        if !sections.isEmpty {
            return "it belongs in \(sections.map(\.heading).joined(separator: " or "))"
        }
        guard let meant = Suggestion.nearest(to: name, among: ConfigurationKey.all.map(\.name)),
            let section = Schema.sections.first(where: { $0.keys.contains { $0.name == meant } })
        else { return nil }
        return "did you mean \(quoted(meant)) in \(section.heading)?"
    }
}
