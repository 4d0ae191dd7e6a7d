import Glibc

/// The limit of open files, for who has to raise it.
enum DescriptorLimit {
    /// How to have more files open than the hard limit allows, which the daemon has made its own already.
    static var advice: String {
        guard getenv("NOTIFY_SOCKET") != nil else {
            return "raise the hard limit (ulimit -Hn; a container has it from --ulimit nofile= or the like)"
        }
        // Process 1 of a container can't raise what it was started with, whatever a unit asks for.
        guard let container = ProcessFile.container else {
            return "raise LimitNOFILE= in the unit, and fs.nr_open where that is lower"
        }
        return """
            raise the limit of the \(container) container (--ulimit nofile= or the like), which caps LimitNOFILE= in the unit
            """
    }

    /// What to do where accept(2) fails; nil where nothing is known to help.
    static func advice(acceptError error: Int32) -> String? {
        switch error {
        case EMFILE: "\(advice), or lower server.max_connections"
        case ENFILE: "the whole machine has too many files open; raise fs.file-max"
        default: nil
        }
    }
}
