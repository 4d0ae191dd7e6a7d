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

    deinit {
        _ = nftw(path, { path, _, _, _ in remove(path!) }, 16, FTW_DEPTH.rawValue | FTW_PHYS.rawValue)
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
