import Glibc
import Settings
import Testing

@testable import Configuration

@Suite("The manual and the installed file")
struct ManualTests {
    /// The root of the package: this file is in Tests/ConfigurationTests.
    private func text(of path: String) throws -> String {
        let root = #filePath.split(separator: "/").dropLast(3).map { "/\($0)" }.joined()
        return String(decoding: try ConfigurationFile.contents(of: "\(root)/\(path)"), as: UTF8.self)
    }

    /// The items of wsd.toml(5) in their order: the path of the key and the lines below it.
    private func items() throws -> [(path: String, lines: [Substring])] {
        var section = ""
        var items: [(path: String, lines: [Substring])] = []
        for line in try text(of: "man/wsd.toml.5").split(separator: "\n") {
            if line.hasPrefix(".Ss ") {
                section = line.dropFirst(4).filter { $0 != "[" && $0 != "]" }.replacing(".\"PATTERN\"", with: "")
            } else if line.hasPrefix(".It Ic ") {
                items.append(("\(section).\(line.dropFirst(7))", []))
            } else if !items.isEmpty {
                items[items.count - 1].lines.append(line)
            }
        }
        return items
    }

    @Test("wsd.toml(5) has every key of the schema and no other, in the same order")
    func keys() throws {
        #expect(try items().map(\.path) == ConfigurationKey.all.map(\.path))
    }

    @Test("wsd.toml(5) gives each key the type, range and default of the schema")
    func facts() throws {
        for (item, key) in zip(try items(), ConfigurationKey.all) {
            let facts = [
                "Type: \(key.type)\(key.range.map { ", \($0)" } ?? "").",
                key.defaultText.map { "Default: \($0)." } ?? "Required.",
                "Change: \(key.change == .live ? "live" : "restart")\(key.isSecret ? "; secret" : "").",
            ]
            for fact in facts { #expect(item.lines.contains(fact[...]), "\(key.path)") }
        }
    }

    @Test("Each example of wsd.toml(5) can be used as it is")
    func examples() throws {
        var examples: [[Substring]] = []
        var isInside = false
        for line in try text(of: "man/wsd.toml.5").split(separator: "\n", omittingEmptySubsequences: false) {
            if line.hasPrefix(".Bd -literal") {
                isInside = true
                examples.append([])
            } else if line.hasPrefix(".Ed") {
                isInside = false
            } else if isInside {
                examples[examples.count - 1].append(line)
            }
        }
        // The others are a token's claims, the forms of a URL, lines of the access log, and messages.
        let files = examples.map { $0.joined(separator: "\n") }.filter { $0.hasPrefix("[") }
        #expect(files.count == examples.count - 4 && files.count >= 4)
        for file in files { #expect(errors(file).isEmpty, "\(file)") }
    }

    @Test("The installed file says nothing but the defaults, and each line of it holds when it is uncommented")
    func installedFile() throws {
        let file = try text(of: "etc/wsd/wsd.toml")
        #expect(try loaded(file).configuration == Settings())
        let uncommented = file.split(separator: "\n").map { line in
            line.hasPrefix("#") && !line.hasPrefix("# ") ? line.dropFirst() : line
        }
        let loaded = try loaded(uncommented.joined(separator: "\n"))
        #expect(loaded.configuration == Settings())
        #expect(loaded.origin(of: "server.listen") != .builtIn)
    }

    @Test("The example of a drop-in can be used as it is")
    func exampleDropIn() throws {
        let example = try text(of: "etc/wsd/wsd.toml.d/50-site.toml.example")
        #expect(try loaded(example).configuration != Settings())
    }
}
