import Glibc

/// The service manager's store of descriptors, which it passes to the next process of the service: sd_notify(3),
/// `FDSTORE=1`.
extension Notifier {
    /// The number of descriptors that the store takes; nil if that is not known: systemd says it from version 254 on only.
    package var storeLimit: Int? { getenv("FDSTORE").flatMap { Int(String(cString: $0)) } }

    /// Whether there is a store, as far as this process can know.
    package var mayStore: Bool { isPresent && storeLimit != 0 }

    /// Leaves a descriptor for the next process. The service manager does not watch it, because a socket whose other end
    /// is closed would be dropped (`FDPOLL=0`).
    ///
    /// - Parameter name: at most 255 printable ASCII characters without a colon.
    package func store(_ descriptor: Int32, name: String) async -> Bool {
        await send("FDSTORE=1\nFDNAME=\(name)\nFDPOLL=0", descriptor: descriptor)
    }

    /// Removes all descriptors of a name from the store.
    @discardableResult
    package func removeStored(name: String) async -> Bool {
        await send("FDSTOREREMOVE=1\nFDNAME=\(name)")
    }

    /// Removes all descriptors of these names from the store.
    package func removeStored(names: some Sequence<String>) async {
        for name in names { await removeStored(name: name) }
    }
}
