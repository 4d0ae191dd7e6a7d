/// What the programs of this package say about themselves.
package enum WSD {
    /// The version of all of them.
    package static let version = "0.1.0"
    /// The product's name, as `org.varlink.service` gives it.
    package static let product = "wsd"
    /// Who makes it.
    package static let vendor = "wsd"
    /// Where to read more.
    package static let url = "man:wsd(8)"
    /// The socket for full control, unless configured otherwise.
    package static let controlSocketPath = "/run/wsd/io.wsd.Control"
    /// The socket for figures only, unless configured otherwise.
    package static let statusSocketPath = "/run/wsd/io.wsd.Status"
}
