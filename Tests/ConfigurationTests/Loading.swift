@testable import Configuration

/// What the text of one file, named "f", comes to.
func loaded(_ text: String) throws -> LoadedConfiguration {
    try ConfigurationLoader().load(texts: [("f", text)])
}

/// The lines that the texts are answered with; none where nothing is wrong.
func errors(_ texts: String...) -> [String] {
    let names = texts.count == 1 ? ["f"] : (1...texts.count).map { "f\($0)" }
    do throws(ConfigurationErrors) {
        _ = try ConfigurationLoader().load(texts: Array(zip(names, texts)))
        return []
    } catch {
        return error.errors.map(\.description)
    }
}
