import Glibc
import Testing

/// A file that is there as long as this object.
final class TemporaryFile {
    let path: String

    init(_ contents: String) throws {
        var template = Array("/tmp/wsd-keys-XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        path = template.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
        let bytes = Array(contents.utf8)
        try #require(write(descriptor, bytes, bytes.count) == bytes.count)
    }

    deinit { unlink(path) }
}
