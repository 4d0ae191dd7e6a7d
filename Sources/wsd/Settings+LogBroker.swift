import Authentication
import Base
import Glibc
import LogBroker
import Settings

/// What a broker that is a log is told, by its plugin.
extension Settings.Broker {
    /// The plugin for the kind of broker, from `/usr/lib/wsd`, or the directory in `$WSD_PLUGIN_DIR`.
    func plugin() throws(KeyErrors) -> LogPlugin {
        do throws(LogPlugin.Unusable) { return try LogPlugin(type.rawValue, in: Self.pluginDirectory) } catch {
            throw pluginError(error)
        }
    }

    /// Checks that the plugin is there, and does not load it.
    func findPlugin() throws(KeyErrors) {
        do throws(LogPlugin.Unusable) { try LogPlugin.find(type.rawValue, in: Self.pluginDirectory) } catch {
            throw pluginError(error)
        }
    }

    private static var pluginDirectory: String {
        getenv("WSD_PLUGIN_DIR").map { String(cString: $0) } ?? "/usr/lib/wsd"
    }

    private func pluginError(_ error: LogPlugin.Unusable) -> KeyErrors {
        KeyErrors(errors: [KeyError("broker.type = \"\(type.rawValue)\": \(error)")])
    }

    func logOptions(
        _ url: BrokerURL, _ channels: [Settings.Channel], _ node: NodeID, _ clientName: String
    ) throws(KeyErrors) -> LogBroker.Options {
        var options = LogBroker.Options(url.description, plugin: try pluginOptions(url, clientName), node: node)
        let longest = channels.lazy.filter { $0.settings.history > 0 }.map(\.settings.historyTTL).max() ?? .zero
        options.window = max(options.window, longest)
        options.historyByteLimit = historyLimitByteCount
        options.probeInterval = probeInterval
        options.presenceTTL = presenceTTL
        return options
    }

    private func pluginOptions(
        _ url: BrokerURL, _ clientName: String
    ) throws(KeyErrors) -> [(key: String, value: String)] {
        var options = try connectionOptions(url, clientName)
        options += [
            ("prefix", prefix), ("partitions", "\(partitions > 0 ? partitions : type == .kafka ? 8 : 1)"),
            ("retention", "\(retention.milliseconds)"),
        ]
        if type == .kafka { options.append(("replicas", "\(kafkaReplicas)")) }
        return options
    }

    /// Where the broker is and how one logs in there, as its plugin is told.
    func connectionOptions(
        _ url: BrokerURL, _ clientName: String
    ) throws(KeyErrors) -> [(key: String, value: String)] {
        var options = [
            (key: "servers", value: url.hosts.map(\.description).joined(separator: ",")),
            (key: "client", value: clientName),
        ]
        func add(_ key: String, _ value: String?) { if let value { options.append((key, value)) } }
        if url.scheme.usesTLS {
            add("tls", "true")
            add("ca", authorityFile?.path)
            add("certificate", certificateFile?.path)
            add("key", keyFile?.path)
        }
        add("user", url.user)
        add("password", try password(url))
        if type == .rabbitmq { add("vhost", url.virtualHost) }
        if type == .kafka {
            if url.user != nil { add("mechanism", saslMechanism.rawValue.uppercased()) }
            for property in kafkaProperties {
                let parts = property.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                add("property.\(parts[0])", parts.count > 1 ? String(parts[1]) : "")
            }
        }
        return options
    }
}
