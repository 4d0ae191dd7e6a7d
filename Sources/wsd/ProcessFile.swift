import Glibc

/// Facts about this process from proc(5) and from the service manager of the machine.
enum ProcessFile {
    /// The number of pages in RAM.
    static var residentPages: Int? {
        let fields = contents("/proc/self/statm").split(separator: " ")
        return fields.count > 1 ? Int(fields[1]) : nil
    }

    /// The name of a process; nil if it is gone or hidden.
    static func command(of process: Int32) -> String? {
        let name = contents("/proc/\(process)/comm").prefix { $0 != "\n" }
        return name.isEmpty ? nil : String(name)
    }

    /// The kind of container that the service manager runs in, such as `docker`; nil if there is none, or it does not
    /// say.
    static var container: String? {
        let name = contents("/run/systemd/container").prefix { $0 != "\n" }
        return name.isEmpty ? nil : String(name)
    }

    private static func contents(_ path: String) -> String {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = read(descriptor, &buffer, buffer.count)
        return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
    }
}
