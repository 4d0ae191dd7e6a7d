internal import Glibc
import Settings

/// Assembles the configuration from the defaults, the file, its drop-ins and the command line, in this order.
package struct ConfigurationLoader: Sendable {
    /// The default path of the file.
    package static let defaultPath = "/etc/wsd/wsd.toml"

    private let path: String
    private let mayBeMissing: Bool
    private let listen: [String]
    private let controlPath: String?

    /// - Parameters:
    ///   - path: the value of `--config`; that file must exist. Nil for the default path, which need not exist.
    ///   - defaultPath: another default path, for tests.
    ///   - listen: the values of `--listen`, which together replace `server.listen`.
    ///   - controlPath: the value of `--control`, which replaces `control.path` and moves the status socket to the same
    ///     directory unless a file sets its path.
    package init(
        path: String? = nil, defaultPath: String = Self.defaultPath, listen: [String] = [], controlPath: String? = nil
    ) {
        self.path = path ?? defaultPath
        mayBeMissing = path == nil
        self.listen = listen
        self.controlPath = controlPath
    }

    /// Reads everything from the start each time, and throws all errors at once.
    package func load() throws(ConfigurationErrors) -> LoadedConfiguration {
        var decoder = ConfigurationDecoder()
        var files: [String] = []
        var inOrder = [path]
        read(path, unlessMissing: mayBeMissing, &files, &decoder)
        let directory = path + ".d"
        do throws(ConfigurationFile.Failure) {
            let dropIns = try ConfigurationFile.dropIns(in: directory)
            inOrder += dropIns
            for dropIn in dropIns { read(dropIn, unlessMissing: false, &files, &decoder) }
        } catch {
            decoder.reportUnreadable(directory, error.message)
        }
        return try finish(&decoder, files: files, inOrder: inOrder)
    }

    /// Like `load`, with texts instead of files.
    func load(texts: [(file: String, text: String)]) throws(ConfigurationErrors) -> LoadedConfiguration {
        var decoder = ConfigurationDecoder()
        for (file, text) in texts { decoder.apply(Array(text.utf8), from: file) }
        return try finish(&decoder, files: texts.map(\.file), inOrder: texts.map(\.file))
    }

    private func read(
        _ file: String, unlessMissing: Bool, _ files: inout [String], _ decoder: inout ConfigurationDecoder
    ) {
        do throws(ConfigurationFile.Failure) {
            let contents = try ConfigurationFile.contents(of: file)
            files.append(file)
            decoder.apply(contents, from: file)
        } catch {
            if unlessMissing, error.code == ENOENT || error.code == ENOTDIR { return }
            decoder.reportUnreadable(file, error.message)
        }
    }

    /// - Parameter inOrder: the files that were to be read; errors about anything else come after theirs.
    private func finish(
        _ decoder: inout ConfigurationDecoder, files: [String], inOrder: [String]
    ) throws(ConfigurationErrors) -> LoadedConfiguration {
        override(&decoder)
        decoder.checkAgreement()
        let order = Dictionary(inOrder.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        func place(_ error: ConfigurationError) -> (Int, Int, Int) {
            (order[error.file] ?? inOrder.count, error.line ?? 0, error.column ?? 0)
        }
        guard decoder.errors.isEmpty else {
            throw ConfigurationErrors(errors: decoder.errors.sorted { place($0) < place($1) })
        }
        return LoadedConfiguration(
            configuration: decoder.configuration, files: files, origins: decoder.origins)
    }

    private func override(_ decoder: inout ConfigurationDecoder) {
        var addresses: [ListenAddress] = []
        for text in listen {
            do throws(InvalidValue) {
                let address = try ListenAddress(parsing: text)
                if addresses.contains(address) {
                    decoder.report("--listen: \(quoted(text)) is there twice; leave one out", in: "command line")
                }
                addresses.append(address)
            } catch {
                decoder.report("--listen: \(error)", in: "command line")
            }
        }
        if !addresses.isEmpty { decoder.override("server.listen", \.server.listen, with: addresses) }
        guard let controlPath else { return }
        do throws(InvalidValue) {
            let path = try SocketPath.parse(controlPath)
            decoder.override("control.path", \.control.path, with: path)
            // A user who can't write to /run/wsd could otherwise move one socket and still fail to start because of the
            // other.
            if decoder.origins["control.status_path"] == nil, let slash = path.lastIndex(of: "/") {
                let beside = path[...slash] + "io.wsd.Status"
                decoder.override("control.status_path", \.control.statusPath, with: String(beside))
            }
        } catch {
            decoder.report("--control: \(error)", in: "command line")
        }
    }
}
