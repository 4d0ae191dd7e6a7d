import Glibc

/// The account that the service runs as, and that a check of its configuration must read files as: what root can read
/// says little.
enum ServiceAccount {
    /// As in `User=` of wsd.service.
    static let name = "wsd"

    /// Who this process now reads files as.
    enum Reader: Equatable {
        /// Who started it, as ever.
        case caller
        /// The service's user, who may do no more than that from now on.
        case service
        /// root still, for there is no such user.
        case root
    }

    /// Gives up what only root may, for good, where root has started this process and there is such a user.
    ///
    /// To be called before a check reads what the service will read, and by nobody who goes on to serve.
    static func assume() throws(StartFailure) -> Reader {
        guard geteuid() == 0 else { return .caller }
        guard let entry = getpwnam(name) else { return .root }
        let (user, group) = (entry.pointee.pw_uid, entry.pointee.pw_gid)
        // The groups first: once the user is another, they can't be changed any more.
        guard initgroups(name, group) == 0, setgid(group) == 0, setuid(user) == 0 else {
            throw StartFailure(
                message: "can't read as the user \(name), as the service does: \(errorText(errno))",
                exitCode: EX_NOPERM)
        }
        return .service
    }
}

extension ServiceAccount.Reader {
    /// What is said behind the answer of a check; empty where the reader is who asked.
    var remark: String {
        switch self {
        case .caller: ""
        case .service: " (read as the user \(ServiceAccount.name), as the service does)"
        case .root: " (read as root; there is no user \(ServiceAccount.name), whom the service would run as)"
        }
    }
}
