/// Facts about the programs of this package.
package enum WSD {
    /// The version of all programs.
    package static let version = "0.1.0"
    /// The product's name, as `org.varlink.service` gives it.
    package static let product = "wsd"
    /// The vendor.
    package static let vendor = "wsd"
    /// The documentation.
    package static let url = "man:wsd(8)"
    /// The socket for full control, unless configured otherwise.
    package static let controlSocketPath = "/run/wsd/io.wsd.Control"
    /// The socket for figures only, unless configured otherwise.
    package static let statusSocketPath = "/run/wsd/io.wsd.Status"
}
