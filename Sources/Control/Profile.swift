internal import Varlink

/// `Profile`: what the daemon spends its time and memory on.
package enum Profile {
    /// The method's name in its interface.
    package static let name = "Profile"
    /// Seconds of a CPU profile unless told otherwise.
    package static let defaultSeconds = 10
    /// The longest CPU profile, in seconds.
    package static let longestSeconds = 300

    /// What is looked at.
    package enum Kind: String, Codable, Sendable, CaseIterable {
        /// Where CPU time goes, in the format of pprof.
        case cpu
        /// What each thread does now, as text.
        case stacks
        /// What memory is used for, as text.
        case heap
    }

    /// What it takes.
    package struct Parameters: VarlinkParameters, Hashable {
        package enum CodingKeys: String, CodingKey, CaseIterable { case kind, seconds }

        /// What is looked at: ``Kind``.
        package let kind: String
        /// How long, for a CPU profile.
        package let seconds: Int?

        /// What to look at.
        package init(kind: Kind, seconds: Int? = nil) {
            self.kind = kind.rawValue
            self.seconds = seconds
        }
    }

    /// What it returns: one of both.
    package struct Reply: Codable, Sendable, Hashable {
        /// A profile, in Base64.
        package let data: String?
        /// Text for a person.
        package let text: String?

        /// What was found.
        package init(data: String? = nil, text: String? = nil) {
            self.data = data
            self.text = text
        }
    }
}
