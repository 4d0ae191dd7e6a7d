import Glibc

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
