import Authentication
import Configuration
import Control
import Logging
import Systemd

/// Reads the configuration and the keys again, and applies what can be applied without a restart: all of it or nothing.
actor Reloader {
    private let loader: ConfigurationLoader
    private let authenticator: Authenticator?
    private let logger: Logger
    /// What the daemon began with, and what the last reload found.
    private let started: LoadedConfiguration
    private var loaded: LoadedConfiguration
    /// How many reloads were done, and how many changed nothing because of errors.
    private(set) var counts = (succeeded: UInt64(0), failed: UInt64(0))

    /// The keys that apply at a reload.
    private static let live: Set<String> = [
        "auth.hmac_secret_file", "auth.public_key_files", "auth.jwks", "auth.issuer", "auth.audience",
    ]

    init(
        _ loaded: LoadedConfiguration, authenticator: Authenticator?, logger: Logger, loader: ConfigurationLoader
    ) {
        started = loaded
        self.loaded = loaded
        self.authenticator = authenticator
        self.logger = logger
        self.loader = loader
    }

    /// Applies what stands on disk now.
    ///
    /// - Throws: ``ControlError/reloadFailed(_:)`` with everything that is wrong; then all is as it was.
    func reload(_ notifier: Notifier) async throws(ControlError) -> ReloadOutcome {
        notifier.reloading()
        defer { notifier.ready() }
        do throws(ControlError) {
            let outcome = try await apply()
            counts.succeeded += 1
            var text = outcome.changed.isEmpty ? "no changes" : "changed: \(outcome.changed.joined(separator: ", "))"
            if !outcome.needsRestart.isEmpty {
                text += "; only after a restart: \(outcome.needsRestart.joined(separator: ", "))"
            }
            logger.notice("reloaded, \(text)")
            return outcome
        } catch {
            counts.failed += 1
            if case .reloadFailed(let errors) = error {
                for error in errors { logger.error("\(error)") }
                logger.error("not reloaded; everything stays as it was")
            }
            throw error
        }
    }

    private func apply() async throws(ControlError) -> ReloadOutcome {
        let new: LoadedConfiguration
        do throws(ConfigurationErrors) { new = try loader.load() } catch {
            throw .reloadFailed(error.errors.map(\.description))
        }
        if let authenticator, let sources = new.configuration.auth.keySources {
            do throws(KeyErrors) {
                try await authenticator.store.reload(sources, new.configuration.auth.tokenPolicy)
            } catch {
                throw .reloadFailed(error.errors.map(\.description))
            }
        }
        // What waits for a restart stays different from what is in force, and is named each time.
        let waiting = new.changes(from: started).map(\.key).filter { !Self.live.contains($0) }
        let changed = new.changes(from: loaded).map(\.key).filter { Self.live.contains($0) }
        loaded = new
        return ReloadOutcome(changed: changed, needsRestart: waiting)
    }
}
