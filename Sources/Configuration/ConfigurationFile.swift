internal import Glibc

/// Reads configuration files.
enum ConfigurationFile {
    /// Far more than a person writes; anything larger is some other file, or a device without an end.
    static let maxByteCount = 1 << 20

    /// The reason why a file or directory can't be read.
    struct Failure: Error {
        /// The error number; 0 if no system call failed.
        let code: Int32
        let message: String

        init(code: Int32) {
            self.code = code
            message = String(cString: strerror(code))
        }

        init(message: String) {
            code = 0
            self.message = message
        }
    }

    /// The contents of a file.
    static func contents(of path: String) throws(Failure) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY)
        guard descriptor >= 0 else { throw Failure(code: errno) }
        defer { close(descriptor) }
        var contents: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 * 1024)
        while true {
            let count = read(descriptor, &chunk, chunk.count)
            guard count >= 0 else {
                guard errno == EINTR else { throw Failure(code: errno) }
                continue
            }
            guard count > 0 else { return contents }
            contents.append(contentsOf: chunk[..<count])
            guard contents.count <= maxByteCount else {
                throw Failure(
                    message: "larger than 1 MiB, the maximum for a configuration file; split it, or remove it")
            }
        }
    }

    /// The paths of the files *.toml in a directory, sorted by bytes; none if the directory doesn't exist.
    static func dropIns(in directory: String) throws(Failure) -> [String] {
        guard let stream = opendir(directory) else {
            guard errno == ENOENT || errno == ENOTDIR else { throw Failure(code: errno) }
            return []
        }
        defer { closedir(stream) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(stream) else {
                guard errno == 0 else { throw Failure(code: errno) }
                break
            }
            let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                pointer.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { String(cString: $0) }
            }
            if name.hasSuffix(".toml"), !name.hasPrefix(".") { names.append(name) }
        }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }.map { "\(directory)/\($0)" }
    }
}
