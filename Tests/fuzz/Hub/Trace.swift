import Glibc

/// What the present input has the harness do, a line a step, in the file that `$WSD_FUZZ_TRACE` names. It is written at
/// once: what ends the process finds it complete.
enum Trace {
    private static let descriptor: Int32 = {
        guard let path = getenv("WSD_FUZZ_TRACE") else { return -1 }
        return open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644)
    }()

    /// Another input begins.
    static func begin() {
        guard descriptor >= 0 else { return }
        ftruncate(descriptor, 0)
        lseek(descriptor, 0, SEEK_SET)
    }

    static func note(_ line: @autoclosure () -> String) {
        guard descriptor >= 0 else { return }
        let text = Array((line() + "\n").utf8)
        _ = write(descriptor, text, text.count)
    }

    /// Bytes as they can be shown: the first of them, and what is no ASCII as `\xNN`.
    static func shown(_ bytes: some Collection<UInt8>) -> String {
        var text = ""
        for byte in bytes.prefix(240) {
            text += (0x20...0x7E).contains(byte) ? String(UnicodeScalar(byte)) : "\\x" + String(byte, radix: 16)
        }
        return bytes.count > 240 ? text + "… (\(bytes.count) bytes)" : text
    }
}
