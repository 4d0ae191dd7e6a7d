/// The full name of a method or an error, split at its last dot: `io.wsd.Control.Kick` is `Kick` of `io.wsd.Control`.
package struct MethodName: Sendable, Hashable {
    /// The interface, such as `io.wsd.Control`.
    package let interface: String
    /// The member, such as `Kick`.
    package let member: String

    /// A name of a known interface.
    package init(interface: String, member: String) {
        self.interface = interface
        self.member = member
    }

    /// Splits a full name; nil if it has no dot, or nothing on one side of its last dot.
    package init?(_ fullName: String) {
        guard let dot = fullName.lastIndex(of: ".") else { return nil }
        let interface = fullName[..<dot]
        let member = fullName[fullName.index(after: dot)...]
        guard !interface.isEmpty, !member.isEmpty else { return nil }
        self.interface = String(interface)
        self.member = String(member)
    }
}

extension MethodName: CustomStringConvertible {
    package var description: String { "\(interface).\(member)" }
}
