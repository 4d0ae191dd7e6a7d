import Glibc

/// The service manager's store of descriptors, which it passes to the next process of the service: sd_notify(3),
/// `FDSTORE=1`.
extension Notifier {
    /// The number of descriptors that the store takes; nil if that is not known.
    ///
    /// systemd says it from version 254 on, but if it is 0. It is of such a version if it also says where to look for memory
    /// pressure (systemd.exec(5)).
    package var storeLimit: Int? {
        getenv("FDSTORE").flatMap { Int(String(cString: $0)) } ?? (getenv("MEMORY_PRESSURE_WATCH") == nil ? nil : 0)
    }

    /// Whether there is a store for this many descriptors, as far as this process can know.
    package func mayStore(_ count: Int) -> Bool { isPresent && storeLimit ?? count >= count }

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

    /// Removes all descriptors of these names from the store. Returns the names of which the service manager could not be told.
    @discardableResult
    package func removeStored(names: some Sequence<String>) async -> [String] {
        var left: [String] = []
        for name in names where await !removeStored(name: name) { left.append(name) }
        return left
    }

    /// Removes all descriptors of these names from the store, and tries it again until it succeeds or the task is cancelled.
    package func removeStored(names: [String], every pause: Duration) async {
        var left = names
        while !left.isEmpty, isPresent {
            do { try await Task.sleep(for: pause) } catch { return }
            left = await removeStored(names: left)
        }
    }
}
