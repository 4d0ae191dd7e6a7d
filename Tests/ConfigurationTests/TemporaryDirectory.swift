import Glibc

/// A directory of its own for a test, gone with it.
final class TemporaryDirectory {
    let path: String

    init() {
        var template = Array("/tmp/wsd-configuration-XXXXXX".utf8CString)
        path = template.withUnsafeMutableBufferPointer { buffer in
            String(cString: mkdtemp(buffer.baseAddress!)!)
        }
    }

    deinit { Self.delete(path) }

    /// remove(3) follows no link, and refuses a directory only for what is in it.
    private static func delete(_ path: String) {
        guard remove(path) != 0, let stream = opendir(path) else { return }
        var names: [String] = []
        while let entry = readdir(stream) {
            names.append(
                withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
                })
        }
        closedir(stream)
        for name in names where name != "." && name != ".." { delete("\(path)/\(name)") }
        remove(path)
    }

    /// Writes a file, with the directory above it, and says where it is.
    @discardableResult
    func write(_ text: String, to name: String) -> String {
        if let slash = name.lastIndex(of: "/") { mkdir("\(path)/\(name[..<slash])", 0o755) }
        let file = fopen("\(path)/\(name)", "w")!
        fputs(text, file)
        fclose(file)
        return "\(path)/\(name)"
    }
}
