/// What to say about a key or table that there isn't: what was meant, where it belongs, or what there is.
enum UnknownName {
    /// A key of a table that is known.
    static func key(_ name: String, in section: String) -> String {
        let known = Schema.sections.first { $0.name == section }
        let names = known?.keys.map(\.name) ?? []
        let unknown = "unknown key \(quoted(name)) in \(known?.heading ?? section)"
        if let meant = Suggestion.nearest(to: name, among: names) {
            return "\(unknown); did you mean \(quoted(meant))?"
        }
        return "\(unknown); \(home(of: name) ?? "there are \(listed(names, "and"))")"
    }

    /// A key or table outside of all tables.
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

    /// The tables that have such a key, or nearly such a one.
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
