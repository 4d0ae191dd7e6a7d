import Metrics
import TLSHandshake

extension TLSContext {
    /// Adds the metrics of the certificates in force.
    func add(to text: inout MetricsText) {
        text.add(
            "wsd_certificate_expiry_seconds", .gauge,
            "When a certificate of this server expires, in seconds since 1970, by its first name and the kind of its key.",
            certificates.map { ([("name", $0.names.first ?? ""), ("key", $0.keyKind)], Int($0.expiresAt)) })
    }
}
