import CLinux
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

/// Advice for an administrator who has to raise the limit of open files.
enum DescriptorLimit {
    /// The way to raise the hard limit, which the daemon has already made its soft limit.
    static var advice: String {
        guard getenv("NOTIFY_SOCKET") != nil else {
            return "raise the hard limit (ulimit -Hn; a container has it from --ulimit nofile= or the like)"
        }
        // Process 1 of a container can't raise the limit that it was started with, whatever a unit asks for.
        guard let container = ProcessFile.container else {
            return "raise LimitNOFILE= in the unit, and fs.nr_open where that is lower"
        }
        return """
            raise the limit of the \(container) container (--ulimit nofile= or the like), which caps LimitNOFILE= in the unit
            """
    }

    /// The advice for an error of accept(2); nil if none is known.
    static func advice(acceptError error: Int32) -> String? {
        switch error {
        case EMFILE: "\(advice), or lower server.max_connections"
        case ENFILE: "the whole machine has too many files open; raise fs.file-max"
        default: nil
        }
    }
}

/// The descriptors of the concurrency runtime.
enum RuntimeTimers {
    /// Sleeps on both clocks, so that the runtime creates their timers (timerfd_create(2)) while there are descriptors: it
    /// does so for the first sleep that has to wait, and ends the process if it can't.
    static func create() async {
        async let continuous: ()? = try? Task.sleep(for: .milliseconds(20), clock: .continuous)
        async let suspending: ()? = try? Task.sleep(for: .milliseconds(20), clock: .suspending)
        _ = await (continuous, suspending)
    }
}

/// The wall clock.
enum Clock {
    /// Milliseconds since 1970.
    static func milliseconds() -> Int64 { clinux_realtime_milliseconds() }
}

/// The text of an error number, from strerror(3).
func errorText(_ number: Int32) -> String { String(cString: strerror(number)) }
