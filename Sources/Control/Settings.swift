internal import Varlink

/// `GetConfiguration`: returns the configuration in force.
package enum GetConfiguration {
    /// The method's name in its interface.
    package static let name = "GetConfiguration"

    /// A key and its value.
    package struct Setting: Codable, Sendable, Hashable {
        /// The key, such as `limits.channels`.
        package let key: String
        /// The value in force, as TOML.
        package let value: String
        /// The origin of the value: `default`, a file and line, `command line`, `wsctl`, or `systemd`, which passes a
        /// socket.
        package let origin: String
        /// The value that is set but not used, because systemd passes a socket, with its origin; nil if there is none.
        package let unused: String?
        /// Whether a change applies without a restart.
        package let live: Bool
        /// The possible values without quotes, if there are only a few; otherwise nil.
        package let choices: [String]?

        /// A key with its value.
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

    /// A key whose value on disk differs.
    package struct Difference: Codable, Sendable, Hashable {
        /// The key.
        package let key: String
        /// The value in force; nil if the key has none.
        package let running: String?
        /// The value after a reload or a restart; nil if the key has none.
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

    /// The method's reply.
    package struct Reply: Codable, Sendable, Hashable {
        /// Every key, in the order of the manual.
        package let settings: [Setting]
        /// The keys whose values on disk differ.
        package let differences: [Difference]
        /// The errors in the configuration on disk, which make its values unknown.
        package let errors: [String]

        /// The configuration as it is returned.
        package init(settings: [Setting], differences: [Difference], errors: [String]) {
            self.settings = settings
            self.differences = differences
            self.errors = errors
        }
    }
}

/// `SetConfiguration`: sets keys until the configuration is read again. Returns a ``ReloadOutcome``.
package enum SetConfiguration {
    /// The method's name in its interface.
    package static let name = "SetConfiguration"

    /// The method's parameters.
    package struct Parameters: VarlinkParameters, Hashable {
        package enum CodingKeys: String, CodingKey, CaseIterable { case values }

        /// The values by key: TOML, or text without the quotes.
        package let values: [String: String]

        /// The values to set.
        package init(values: [String: String]) { self.values = values }
    }
}
