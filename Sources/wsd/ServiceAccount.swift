import Glibc

/// The account that the service runs as. A check of the service's configuration must read files as this account: that
/// root can read them says little.
enum ServiceAccount {
    /// The name in `User=` of wsd.service.
    static let name = "wsd"

    /// The account that this process now reads files as.
    enum Reader: Equatable {
        /// The account that started the process.
        case caller
        /// The service's user, without any other privilege from now on.
        case service
        /// Still root, because there is no such user.
        case root
    }

    /// Switches for good from root to the service's user, if root started this process and the user exists.
    ///
    /// Call it before a check reads files, and never in a process that goes on to serve.
    static func assume() throws(StartFailure) -> Reader {
        guard geteuid() == 0 else { return .caller }
        guard let entry = getpwnam(name) else { return .root }
        let (user, group) = (entry.pointee.pw_uid, entry.pointee.pw_gid)
        // The groups first: after the change of the user they can't be changed any more.
        guard initgroups(name, group) == 0, setgid(group) == 0, setuid(user) == 0 else {
            throw StartFailure(
                message: "can't read as the user \(name), as the service does: \(errorText(errno))",
                exitCode: EX_NOPERM)
        }
        return .service
    }
}

extension ServiceAccount.Reader {
    /// The remark appended to the result of a check; empty if the files were read as the caller.
    var remark: String {
        switch self {
        case .caller: ""
        case .service: " (read as the user \(ServiceAccount.name), as the service does)"
        case .root: " (read as root; there is no user \(ServiceAccount.name), whom the service would run as)"
        }
    }
}
