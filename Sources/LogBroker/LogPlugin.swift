import CBrokerPlugin
import Glibc

/// A plugin, a shared object that knows how to talk to one kind of broker. It is never unloaded.
package final class LogPlugin: @unchecked Sendable {
    // The table is constant, and so are the functions in it.
    let table: wsd_plugin

    /// A plugin that can't be used, with the way out.
    package struct Unusable: Error, CustomStringConvertible {
        package var description: String
    }

    /// Loads the plugin for a kind of broker.
    ///
    /// - Parameter directory: where plugins are, `/usr/lib/wsd` in the package.
    package init(_ name: String, in directory: String) throws(Unusable) {
        let file = try Self.find(name, in: directory)
        guard let handle = dlopen(file, RTLD_NOW | RTLD_LOCAL) else {
            throw Unusable(description: "\(file) can't be loaded: \(Self.loaderError)")
        }
        guard let symbol = dlsym(handle, "wsd_plugin") else {
            throw Unusable(description: "\(file) is no plugin of wsd: \(Self.loaderError)")
        }
        let abi = symbol.load(as: UInt32.self)
        guard abi == UInt32(WSD_PLUGIN_ABI) else {
            throw Unusable(
                description: "\(file) has version \(abi) of the interface instead of \(WSD_PLUGIN_ABI): "
                    + "install the version of wsd-\(name) that belongs to this wsd")
        }
        table = symbol.load(as: wsd_plugin.self)
    }

    /// The path of the plugin for a kind of broker, which is there.
    @discardableResult
    package static func find(_ name: String, in directory: String) throws(Unusable) -> String {
        let file = "\(directory)/\(name).so"
        guard access(file, F_OK) == 0 else {
            throw Unusable(description: "\(file) is not there: install the package wsd-\(name)")
        }
        return file
    }

    /// What a plugin in this process exports.
    init(_ table: wsd_plugin) { self.table = table }

    private static var loaderError: String { dlerror().map { String(cString: $0) } ?? "no reason is given" }

    /// The client library and its version.
    package var library: String { table.library().map { String(cString: $0) } ?? "" }
}
