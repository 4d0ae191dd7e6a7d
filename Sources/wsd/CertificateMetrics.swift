import Metrics
import TLSHandshake

extension TLSContext {
    /// Adds the metrics of the certificates in force, by their places in `tls.certificates`: those that are for the same host with
    /// keys of one kind are told apart by that alone.
    func add(to text: inout MetricsText) {
        func add(_ name: String, _ help: String, _ time: (ServerCertificate) -> Int64) {
            text.add(
                name, .gauge, help,
                certificates.enumerated().map { index, certificate in
                    let name = certificate.allNames.first ?? ""
                    let labels = [("index", "\(index)"), ("name", name), ("key", certificate.keyKind)]
                    return (labels, Int(time(certificate)))
                })
        }
        add(
            "wsd_certificate_not_before_seconds",
            "When a certificate of this server becomes valid, in seconds since 1970, by its place in tls.certificates.",
            \.beginsAt)
        add(
            "wsd_certificate_expiry_seconds",
            "When a certificate of this server expires, in seconds since 1970, by its place in tls.certificates.",
            \.expiresAt)
    }
}
