internal import Varlink

/// `GetConfiguration`: what is in force.
package enum GetConfiguration {
    /// The method's name in its interface.
    package static let name = "GetConfiguration"

    /// One key.
    package struct Setting: Codable, Sendable, Hashable {
        /// The key, such as `limits.channels`.
        package let key: String
        /// The value as TOML.
        package let value: String
        /// Where it comes from: `default`, a file and line, `command line`, `wsctl`, or `systemd`, which passes a socket.
        package let origin: String
        /// What is given for the key and not used, because systemd passes a socket, and where; nil for none.
        package let unused: String?
        /// Whether a change applies without a restart.
        package let live: Bool
        /// The values that it can have, where these are only a few, without quotes; nil where they are not.
        package let choices: [String]?

        /// A key as it is returned.
        package init(
            key: String, value: String, origin: String, unused: String? = nil, live: Bool, choices: [String]? = nil
        ) {
            self.key = key
            self.value = value
            self.origin = origin
            self.unused = unused
            self.live = live
            self.choices = choices
        }
    }

    /// A key that is otherwise on disk.
    package struct Difference: Codable, Sendable, Hashable {
        /// The key.
        package let key: String
        /// The value in force; nil where it isn't there.
        package let running: String?
        /// The value that a reload or a restart would bring; nil where it isn't there.
        package let disk: String?
        /// Whether a reload is enough.
        package let live: Bool

        /// A difference as it is returned.
        package init(key: String, running: String?, disk: String?, live: Bool) {
            self.key = key
            self.running = running
            self.disk = disk
            self.live = live
        }
    }

    /// What it returns.
    package struct Reply: Codable, Sendable, Hashable {
        /// Every key, in the order of the manual.
        package let settings: [Setting]
        /// What is otherwise on disk.
        package let differences: [Difference]
        /// What is wrong with what is on disk, so that it can't be told.
        package let errors: [String]

        /// The configuration as it is returned.
        package init(settings: [Setting], differences: [Difference], errors: [String]) {
            self.settings = settings
            self.differences = differences
            self.errors = errors
        }
    }
}

/// `SetConfiguration`: set keys until the configuration is read again. Returns a ``ReloadOutcome``.
package enum SetConfiguration {
    /// The method's name in its interface.
    package static let name = "SetConfiguration"

    /// What it takes.
    package struct Parameters: VarlinkParameters, Hashable {
        package enum CodingKeys: String, CodingKey, CaseIterable { case values }

        /// The values by key: TOML, or text that needs no quotes.
        package let values: [String: String]

        /// What to set.
        package init(values: [String: String]) { self.values = values }
    }
}
