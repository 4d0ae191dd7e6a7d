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
        var authenticator: Authenticator?
        var apiKeys: KeyRing
        var threshold: LogThreshold
        var feed: EventFeed
        var lifecycle: Lifecycle
        /// How many files the process may have open.
        var descriptorLimit: Int
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

    /// How the daemon ends.
    var drain: Configuration.Drain { loaded.configuration.drain }

    /// Applies what stands on disk now.
    ///
    /// - Throws: ``ControlError/reloadFailed(_:)`` with everything that is wrong; then all is as it was.
    func reload(_ notifier: Notifier) async throws(ControlError) -> ReloadOutcome {
        await begin()
        defer { end() }
        notifier.reloading()
        defer { notifier.ready() }
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
        let settings = running.map {
            GetConfiguration.Setting(
                key: $0.key, value: $0.value, origin: $0.origin.description, live: $0.change == .live)
        }
        let disk: [EffectiveSetting]
        do throws(ConfigurationErrors) { disk = try loader.load().settings } catch {
            return GetConfiguration.Reply(
                settings: settings, differences: [], errors: error.errors.map(\.description))
        }
        let onDisk = Dictionary(disk.map { ($0.key, $0) }) { first, _ in first }
        let inForce = Set(running.map(\.key))
        let changed = running.filter { onDisk[$0.key]?.value != $0.value }.map {
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
                verifier: parts.authenticator?.verifier))
        parts.threshold.level = Logger.Level(configuration.log.level)
        parts.feed.setLogsEverything(parts.threshold.level <= .debug)
        await parts.lifecycle.setTimeout(configuration.drain.timeout)
        // What waits for a restart stays different from what is in force, and is named each time.
        let waiting = new.changes(from: started).filter { $0.change == .restart }.map(\.key)
        let keys = new.changes(from: loaded).filter { $0.change == .live }.map(\.key)
        let changed = keys + rotated.filter { !keys.contains($0) }
        loaded = new
        if changed.contains("server.max_connections") {
            configuration.warnOfLimit(parts.hub.maximumConnections, logger)
        }
        return ReloadOutcome(changed: changed, needsRestart: waiting)
    }

    /// Puts what stands in key files now in the place of what stood there, all of it or nothing.
    ///
    /// - Returns: the keys of the configuration whose files hold something else than before.
    private func replaceKeys(_ new: LoadedConfiguration) async throws(ControlError) -> [String] {
        let configuration = new.configuration
        var errors: [KeyError] = []
        var apiKeys = APIKeys()
        do throws(KeyErrors) { apiKeys = try configuration.api.keys() } catch { errors = error.errors }
        if let authenticator = parts.authenticator, let sources = configuration.auth.keySources {
            do throws(KeyErrors) {
                if errors.isEmpty {
                    try await authenticator.store.reload(sources, configuration.auth.tokenPolicy)
                } else {
                    try await authenticator.store.check(sources)
                }
            } catch { errors += error.errors }
        }
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
        logger.notice("\(action), \(text)")
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

extension LoadedConfiguration {
    /// What is wrong with a key, `KEY = "VALUE": reason`, with the place where that was written.
    fileprivate func located(_ text: String) -> String {
        let key = text.prefix { $0 != " " && $0 != "[" }
        let place = origin(of: String(key))
        return place == .builtIn ? text : "\(place): \(text)"
    }
}

extension ControlError {
    fileprivate init(_ errors: ConfigurationErrors) { self = .reloadFailed(errors.errors.map(\.description)) }
}
