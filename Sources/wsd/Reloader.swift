import API
import Authentication
import Configuration
import Control
import Engine
import Logging
import Systemd

/// The configuration that is in force, and the ways to another one: all of it or nothing.
actor Reloader {
    /// What goes by the configuration while the daemon runs.
    struct Parts: Sendable {
        var hub: Hub
        var tokens: Tokens
        var apiKeys: KeyRing
        var threshold: LogThreshold
        var feed: EventFeed
        var access: AccessLog
        var lifecycle: Lifecycle
        /// How many files the process may have open.
        var descriptorLimit: Int
        /// The keys that systemd's sockets are in the place of.
        var passed: PassedKeys
        /// Where the hub listens that others than this machine reach.
        var openAddresses: [String]
    }

    private let loader: ConfigurationLoader
    private let parts: Parts
    private let logger: Logger
    /// What the daemon began with, and what is in force now.
    private let started: LoadedConfiguration
    private var loaded: LoadedConfiguration
    /// How many reloads were done, and how many changed nothing because of errors.
    private(set) var counts = (succeeded: UInt64(0), failed: UInt64(0))

    /// What was in the files with keys when they were read last.
    private var keyFiles: KeyFiles

    private var isBusy = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(_ loaded: LoadedConfiguration, _ parts: Parts, logger: Logger, loader: ConfigurationLoader) {
        started = loaded
        self.loaded = loaded
        keyFiles = KeyFiles(loaded.configuration)
        self.parts = parts
        self.logger = logger
        self.loader = loader
    }

    /// The files in force, in the order they were read.
    var files: [String] { loaded.files }

    /// What the daemon goes by: what waits for a restart is as it was at the start.
    private var settingsInForce: [EffectiveSetting] {
        let before = Dictionary(started.settings.map { ($0.key, $0) }) { first, _ in first }
        return loaded.settings.map { $0.change == .restart ? before[$0.key] ?? $0 : $0 }
    }

    /// The keys that are given otherwise than they were at the start, and take effect after a restart only.
    var pendingRestart: [String] { pendingRestart(in: loaded) }

    private func pendingRestart(in new: LoadedConfiguration) -> [String] {
        new.changes(from: started).filter { $0.change == .restart && parts.passed.value(of: $0.key) == nil }.map(\.key)
    }

    /// The keys that are given and not used.
    var unusedKeys: [String] { parts.passed.unused(in: loaded) }

    /// Whether no proxy's X-Forwarded-For is believed.
    var trustsNoProxy: Bool { loaded.configuration.server.trustedProxies.isEmpty }

    /// What an administrator should know and decide.
    var notices: [String] {
        guard !loaded.saysWhoMayConnect, !parts.openAddresses.isEmpty else { return [] }
        return [
            """
            whoever reaches \(parts.openAddresses.joined(separator: ", ")) may connect, listen and publish, and nobody has \
            chosen that: set auth.mode (\"none\" is a choice, too) or server.allowed_origins, or listen on 127.0.0.1; \
            see wsd.toml(5)
            """
        ]
    }

    /// How the daemon ends.
    var drain: Configuration.Drain { loaded.configuration.drain }

    /// Applies what stands on disk now.
    ///
    /// - Throws: ``ControlError/reloadFailed(_:)`` with everything that is wrong; then all is as it was.
    func reload(_ report: StatusReport) async throws(ControlError) -> ReloadOutcome {
        await begin()
        defer { end() }
        report.notifier.reloading()
        let result: Result<ReloadOutcome, ControlError>
        do throws(ControlError) { result = .success(try await load()) } catch { result = .failure(error) }
        // What waits for a restart is there for whoever asks the service manager next.
        report.notifier.ready(status: await report.text())
        return try result.get()
    }

    private func load() async throws(ControlError) -> ReloadOutcome {
        do throws(ControlError) {
            let new: LoadedConfiguration
            do throws(ConfigurationErrors) { new = try loader.load() } catch { throw ControlError(error) }
            let outcome = try await apply(new, readsKeys: true)
            counts.succeeded += 1
            report("reloaded", outcome)
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
    /// - Throws: ``ControlError/reloadFailed(_:)`` with everything that is wrong; then all is as it was.
    func set(_ values: [String: String]) async throws(ControlError) -> ReloadOutcome {
        await begin()
        defer { end() }
        let new: LoadedConfiguration
        do throws(ConfigurationErrors) { new = try loaded.setting(values) } catch { throw ControlError(error) }
        let outcome = try await apply(new, readsKeys: false)
        report("set", outcome)
        return outcome
    }

    /// What is in force, and what is otherwise on disk.
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

    /// Everything that can go wrong comes before the first change.
    private func apply(_ new: LoadedConfiguration, readsKeys: Bool) async throws(ControlError) -> ReloadOutcome {
        let configuration = new.configuration
        let rotated = readsKeys ? try await replaceKeys(new) : []
        await parts.hub.reconfigure(
            configuration.engineConfiguration(
                descriptorLimit: parts.descriptorLimit, exemptsLoopback: new.exemptsLoopback,
                verifier: parts.tokens.verifier))
        parts.threshold.level = Logger.Level(configuration.log.level)
        parts.access.setMode(configuration.log.access)
        parts.feed.setLogsEverything(configuration.log.wantsEverything)
        await parts.lifecycle.setTimeout(configuration.drain.timeout)
        // What waits for a restart stays different from what is in force, and is named each time.
        let waiting = pendingRestart(in: new)
        let unused = parts.passed.unused(in: new)
        let keys = new.changes(from: loaded).filter { $0.change == .live }.map(\.key)
        let changed = keys + rotated.filter { !keys.contains($0) }
        loaded = new
        if changed.contains("server.max_connections") {
            configuration.warnOfLimit(parts.hub.maximumConnections, logger)
        }
        return ReloadOutcome(changed: changed, needsRestart: waiting, unused: unused.isEmpty ? nil : unused)
    }

    /// Puts what stands in key files now in the place of what stood there, all of it or nothing.
    ///
    /// - Returns: the keys of the configuration whose files hold something else than before.
    private func replaceKeys(_ new: LoadedConfiguration) async throws(ControlError) -> [String] {
        let configuration = new.configuration
        var errors: [KeyError] = []
        var apiKeys = APIKeys()
        do throws(KeyErrors) { apiKeys = try configuration.api.keys() } catch { errors = error.errors }
        do throws(KeyErrors) {
            if errors.isEmpty {
                try await parts.tokens.load(configuration.auth)
            } else {
                try await parts.tokens.check(configuration.auth)
            }
        } catch { errors += error.errors }
        guard errors.isEmpty else { throw .reloadFailed(errors.map { new.located($0.description) }) }
        parts.apiKeys.replace(apiKeys)
        configuration.api.warnOfOpenKeyFiles(logger)
        let before = keyFiles
        keyFiles = KeyFiles(configuration)
        return keyFiles.changes(from: before)
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
        // What an administrator has to do something about stands out in "systemctl status", too.
        let isDone = outcome.needsRestart.isEmpty && unused.isEmpty
        logger.log(level: isDone ? .notice : .warning, "\(action), \(text)")
        parts.feed.send(Self.event("\(action), \(text)"))
    }

    private static func event(_ text: String) -> Event {
        var event = Event(.reload, millisecondsSinceEpoch: Clock.milliseconds())
        event.text = text
        return event
    }

    /// One change after the other: what is awaited in one lets another begin.
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
