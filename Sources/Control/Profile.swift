internal import Varlink

/// `Profile`: shows where the daemon's time and memory go.
package enum Profile {
    /// The method's name in its interface.
    package static let name = "Profile"
    /// The default duration of a CPU profile in seconds.
    package static let defaultSeconds = 10
    /// The maximum duration of a CPU profile in seconds.
    package static let longestSeconds = 300

    /// The kind of a profile.
    package enum Kind: String, Codable, Sendable, CaseIterable {
        /// The use of CPU time, in the format of pprof.
        case cpu
        /// The current stack of each thread, as text.
        case stacks
        /// The use of memory, as text.
        case heap
    }

    /// The method's parameters.
    package struct Parameters: VarlinkParameters, Hashable {
        package enum CodingKeys: String, CodingKey, CaseIterable { case kind, seconds }

        /// The kind of profile, one of ``Kind``.
        package let kind: String
        /// The duration of a CPU profile in seconds.
        package let seconds: Int?

        /// The profile to take.
        package init(kind: Kind, seconds: Int? = nil) {
            self.kind = kind.rawValue
            self.seconds = seconds
        }
    }

    /// The method's reply, with one of its members.
    package struct Reply: Codable, Sendable, Hashable {
        /// A profile, in Base64.
        package let data: String?
        /// Text for a human reader.
        package let text: String?

        /// A reply with a profile or a text.
        package init(data: String? = nil, text: String? = nil) {
            self.data = data
            self.text = text
        }
    }
}
