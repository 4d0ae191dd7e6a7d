import API
import Authentication
import CLinux
import Configuration
import Control
import Engine
import Logging
import Operations
import Settings
import Systemd
import TLSChannel
import TLSHandshake

/// The configuration in force, and the ways to change it: as a whole or not at all.
actor Reloader {
    /// The parts of the daemon that a change of the configuration affects.
    struct Parts: Sendable {
        var hub: Hub
        var tokens: Tokens
        var apiKeys: KeyRing
        var threshold: LogThreshold
        var feed: EventFeed
        var access: AccessLog
        var lifecycle: Lifecycle
        /// Nil if the node is alone.
        var broker: NodeBroker?
        /// The number of files that the process may have open.
        var descriptorLimit: Int
        /// The keys that are replaced by sockets from systemd.
        var passed: PassedKeys
        /// The certificates in force.
        var tls: CurrentTLS
        var listeners: ListenerFacts
    }

    private let loader: ConfigurationLoader
    private let parts: Parts
    private let logger: Logger
    /// The configuration at the start, and the one in force.
    private let started: LoadedConfiguration
    private var loaded: LoadedConfiguration
    /// The certificates in force.
    var tls: TLSContext? { parts.tls.context }
    /// The keys of tickets, which outlive a change of the certificates.
    private let tickets: TicketKeys
    /// The number of reloads that succeeded, and of those that changed nothing because of errors.
    private(set) var counts = (succeeded: UInt64(0), failed: UInt64(0))

    /// The contents of the key files when they were last read.
    private var keyFiles: KeyFiles

    private var isBusy = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(_ loaded: LoadedConfiguration, _ parts: Parts, logger: Logger, loader: ConfigurationLoader) {
        started = loaded
        self.loaded = loaded
        keyFiles = KeyFiles(loaded.configuration)
        tickets = parts.tls.context?.tickets ?? TicketKeys()
        self.parts = parts
        self.logger = logger
        self.loader = loader
    }

    /// The files in force, in the order in which they were read.
    var files: [String] { loaded.files }

    /// The settings that the daemon uses: a setting that waits for a restart has its value from the start.
    private var settingsInForce: [EffectiveSetting] {
        let before = Dictionary(started.settings.map { ($0.key, $0) }) { first, _ in first }
        return loaded.settings.map { $0.change == .restart ? before[$0.key] ?? $0 : $0 }
    }

    /// The keys whose values differ from those at the start and take effect only after a restart.
    var pendingRestart: [String] { pendingRestart(in: loaded) }

    private func pendingRestart(in new: LoadedConfiguration) -> [String] {
        new.changes(from: started).filter { $0.change == .restart && parts.passed.value(of: $0.key) == nil }.map(\.key)
    }

    /// The keys that are set but not used.
    var unusedKeys: [String] { parts.passed.unused(in: loaded) }

    /// Whether no proxy's X-Forwarded-For header is trusted.
    var trustsNoProxy: Bool { loaded.configuration.server.trustedProxies.isEmpty }

    /// Notices for the administrator, who should make a decision.
    var notices: [String] {
        let ofTLS = notices(of: loaded.configuration.tls)
        guard !loaded.saysWhoMayConnect, !parts.listeners.openAddresses.isEmpty else { return ofTLS }
        return ofTLS + [
            """
            no access control is configured: anyone who reaches \
            \(parts.listeners.openAddresses.joined(separator: ", ")) may connect, listen and publish; set auth.mode ("none" \
            if that is intended) or server.allowed_origins, or listen on 127.0.0.1; see wsd.toml(5)
            """
        ]
    }

    /// Notices about TLS with the certificates in force.
    private func notices(of settings: Settings.TLS) -> [String] {
        (tls?.notices ?? []) + parts.listeners.notices(settings)
    }

    /// The settings of a drain.
    var drain: Settings.Drain { loaded.configuration.drain }

    /// Applies the configuration on disk.
    ///
    /// - Throws: ``ControlError/reloadFailed(_:)`` with every error; then nothing has changed.
    func reload(_ report: StatusReport) async throws(ControlError) -> ReloadOutcome {
        await begin()
        defer { end() }
        await report.notifier.reloading()
        let result: Result<ReloadOutcome, ControlError>
        do throws(ControlError) { result = .success(try await load()) } catch { result = .failure(error) }
        // The status lists the changes that wait for a restart, for whoever asks the service manager next.
        await report.notifier.ready(status: report.text())
        return try result.get()
    }

    private func load() async throws(ControlError) -> ReloadOutcome {
        do throws(ControlError) {
            let new: LoadedConfiguration
            do throws(ConfigurationErrors) { new = try loader.load() } catch { throw ControlError(error) }
            let outcome = try await apply(new, readsKeys: true)
            counts.succeeded += 1
            report("reloaded", outcome)
            for notice in outcome.notices ?? [] { logger.warning("\(notice)") }
            return outcome
        } catch {
            counts.failed += 1
            if case .reloadFailed(let errors) = error {
                for error in errors { logger.error("\(error)") }
                logger.error("not reloaded; everything stays as it was")
                parts.feed.send(Self.event("not reloaded: \(errors.joined(separator: "; "))"))
            }
            throw error
        }
    }

    /// Sets keys until the next reload.
    ///
    /// - Throws: ``ControlError/reloadFailed(_:)`` with every error; then nothing has changed.
    func set(_ values: [String: String]) async throws(ControlError) -> ReloadOutcome {
        await begin()
        defer { end() }
        let new: LoadedConfiguration
        do throws(ConfigurationErrors) { new = try loaded.setting(values) } catch { throw ControlError(error) }
        let outcome = try await apply(new, readsKeys: false)
        report("set", outcome)
        return outcome
    }

    /// The configuration in force, and its differences from the configuration on disk.
    func configuration() -> GetConfiguration.Reply {
        let running = settingsInForce
        let unused = Set(unusedKeys)
        let choices = Dictionary(ConfigurationKey.all.filter { !$0.choices.isEmpty }.map { ($0.path, $0.choices) }) {
            first, _ in first
        }
        let given = Dictionary(loaded.settings.map { ($0.key, $0) }) { first, _ in first }
        let settings = running.map { setting in
            let passed = parts.passed.value(of: setting.key)
            return GetConfiguration.Setting(
                key: setting.key, value: passed ?? setting.value,
                origin: passed == nil ? setting.origin.description : "systemd",
                unused: unused.contains(setting.key)
                    ? given[setting.key].map { "\($0.value) (\($0.origin))" } : nil,
                live: setting.change == .live, choices: choices[setting.key])
        }
        let disk: [EffectiveSetting]
        do throws(ConfigurationErrors) { disk = try loader.load().settings } catch {
            return GetConfiguration.Reply(
                settings: settings, differences: [], errors: error.errors.map(\.description))
        }
        let onDisk = Dictionary(disk.map { ($0.key, $0) }) { first, _ in first }
        let inForce = Set(running.map(\.key))
        let changed = running.filter {
            onDisk[$0.key]?.value != $0.value && parts.passed.value(of: $0.key) == nil
        }.map {
            GetConfiguration.Difference(
                key: $0.key, running: $0.value, disk: onDisk[$0.key]?.value, live: $0.change == .live)
        }
        let added = disk.filter { !inForce.contains($0.key) }.map {
            GetConfiguration.Difference(key: $0.key, running: nil, disk: $0.value, live: $0.change == .live)
        }
        return GetConfiguration.Reply(settings: settings, differences: changed + added, errors: [])
    }

    /// Applies a configuration. Every step that can fail comes before the first change.
    private func apply(_ new: LoadedConfiguration, readsKeys: Bool) async throws(ControlError) -> ReloadOutcome {
        let configuration = new.configuration
        let rotated = readsKeys ? try await replaceKeys(new) : []
        await parts.hub.reconfigure(
            configuration.engineConfiguration(
                descriptorLimit: parts.descriptorLimit, exemptsLoopback: new.exemptsLoopback,
                verifier: parts.tokens.verifier, tls: tls, tlsPort: parts.listeners.tlsPort))
        parts.threshold.level = Logger.Level(configuration.log.level)
        parts.access.setMode(configuration.log.access)
        parts.feed.setLogsEverything(configuration.log.wantsEverything)
        await parts.lifecycle.setTimeout(configuration.drain.timeout)
        // A change that waits for a restart stays a difference from the settings in force, and is reported each time.
        let waiting = pendingRestart(in: new)
        let unused = parts.passed.unused(in: new)
        let keys = new.changes(from: loaded).filter { $0.change == .live }.map(\.key)
        let changed = keys + rotated.filter { !keys.contains($0) }
        loaded = new
        if changed.contains("server.max_connections") {
            configuration.warnOfLimit(
                parts.hub.maximumConnections, descriptorLimit: parts.descriptorLimit, logger)
        }
        let notices = readsKeys ? notices(of: configuration.tls) : []
        return ReloadOutcome(
            changed: changed, needsRestart: waiting, unused: unused.isEmpty ? nil : unused,
            notices: notices.isEmpty ? nil : notices)
    }

    /// Errors with which a process of this version would not start now: those of the configuration on disk, or else of the
    /// files that it names. Credentials are left out: the next process gets its own.
    func startErrors() async -> [String] {
        await begin()
        defer { end() }
        let new: LoadedConfiguration
        do throws(ConfigurationErrors) { new = try loader.load() } catch { return error.errors.map(\.description) }
        if new.configuration.tls.certificates.isEmpty,
            let key = ["server.listen_tls", "api.listen_tls"].first(where: { parts.passed.value(of: $0) != nil })
        {
            return ["tls.certificates: systemd passes \(key), and there is no certificate to show"]
        }
        // Reading certificates may change it.
        let isDumpable = clinux_dumpable()
        defer { _ = clinux_set_dumpable(isDumpable) }
        do throws(KeyErrors) {
            _ = try await new.configuration.withoutCredentials.checkFiles(loadsPlugins: false)
        } catch {
            return error.errors.map { new.located($0.description) }
        }
        return []
    }

    /// Replaces all keys with those now in the key files, as a whole or not at all.
    ///
    /// - Returns: the keys of the configuration whose files have changed.
    private func replaceKeys(_ new: LoadedConfiguration) async throws(ControlError) -> [String] {
        let configuration = new.configuration
        var errors: [KeyError] = []
        var apiKeys = APIKeys()
        var newTLS: TLSContext?
        do throws(KeyErrors) { newTLS = try tlsContext(configuration.tls) } catch { errors = error.errors }
        do throws(KeyErrors) { apiKeys = try configuration.api.keys() } catch { errors += error.errors }
        do throws(KeyErrors) {
            if errors.isEmpty {
                try await parts.tokens.load(configuration.auth)
            } else {
                try await parts.tokens.check(configuration.auth)
            }
        } catch { errors += error.errors }
        guard errors.isEmpty else {
            loaded.configuration.tls.applyCoreDumps()
            throw .reloadFailed(errors.map { new.located($0.description) })
        }
        configuration.tls.applyCoreDumps()
        parts.apiKeys.replace(apiKeys)
        parts.tls.replace(with: newTLS)
        configuration.api.warnOfOpenKeyFiles(logger)
        let before = keyFiles
        keyFiles = KeyFiles(configuration)
        return keyFiles.changes(from: before)
    }

    /// Reads the certificates anew. A listener for TLS can't be left without any.
    private func tlsContext(_ settings: Settings.TLS) throws(KeyErrors) -> TLSContext? {
        let context = try settings.context(tickets)
        guard context != nil || !parts.listeners.haveTLS else {
            let reason = "clients begin with TLS, and there is no certificate to show"
            throw KeyErrors(errors: [KeyError("tls.certificates: \(reason)")])
        }
        return context
    }

    private func report(_ action: String, _ outcome: ReloadOutcome) {
        var text = outcome.changed.isEmpty ? "no changes" : "changed: \(outcome.changed.joined(separator: ", "))"
        if !outcome.needsRestart.isEmpty {
            text += "; only after a restart: \(outcome.needsRestart.joined(separator: ", "))"
        }
        let unused = outcome.unused ?? []
        if !unused.isEmpty {
            text += "; not used, for systemd passes sockets: \(unused.joined(separator: ", "))"
        }
        // A result that the administrator has to act on also stands out in "systemctl status".
        let isDone = outcome.needsRestart.isEmpty && unused.isEmpty
        logger.log(level: isDone ? .notice : .warning, "\(action), \(text)")
        parts.feed.send(Self.event("\(action), \(text)"))
    }

    private static func event(_ text: String) -> Event {
        var event = Event(.reload, millisecondsSinceEpoch: Clock.milliseconds())
        event.text = text
        return event
    }

    /// Waits until no other change is in progress: each `await` in one change would let another begin.
    private func begin() async {
        guard isBusy else {
            isBusy = true
            return
        }
        await withCheckedContinuation { waiting.append($0) }
    }

    private func end() {
        if waiting.isEmpty { isBusy = false } else { waiting.removeFirst().resume() }
    }
}

extension ControlError {
    fileprivate init(_ errors: ConfigurationErrors) { self = .reloadFailed(errors.errors.map(\.description)) }
}
