import Settings

extension ConfigurationDecoder {
    /// Checks what `[tls]` and the listeners for TLS have to do with each other.
    mutating func checkTLS() {
        let (server, tls) = (configuration.server, configuration.tls)
        for (key, addresses) in [
            ("server.listen_tls", server.listenTLS), ("api.listen_tls", configuration.api.listenTLS),
        ]
        where !addresses.isEmpty && tls.certificates.isEmpty {
            report("\(key): there is no certificate to show; give tls.certificates", about: [key])
        }
        if server.listen.isEmpty, server.listenTLS.isEmpty, tls.certificates.isEmpty {
            report(
                "server.listen: nobody could connect without server.listen_tls, or tls.certificates and a socket named "
                    + "\"wsd-tls\" from systemd; give an address, or one of these",
                about: ["server.listen", "server.listen_tls", "tls.certificates"])
        }
        if tls.clientCertificates != .none, tls.clientAuthorityFile == nil {
            report(
                "tls.client_certificates: there is no authority to verify them by; give tls.client_ca",
                about: ["tls.client_certificates"])
        }
        if tls.clientCertificates == .none, tls.clientAuthorityFile != nil {
            report(
                "tls.client_ca: clients are not asked for certificates; set tls.client_certificates, or leave it out",
                about: ["tls.client_ca", "tls.client_certificates"])
        }
        if tls.clientCertificates == .none, tls.clientIdentity != .none {
            report(
                "tls.client_identity: clients are not asked for certificates; set tls.client_certificates, or leave it out",
                about: ["tls.client_identity", "tls.client_certificates"])
        }
        if tls.redirectsToHTTPS, tls.certificates.isEmpty {
            report(
                "tls.http_redirect: there is no https without a certificate; give tls.certificates, or leave it out",
                about: ["tls.http_redirect"])
        }
        let listeners = [
            ("server.listen", server.listen), ("api.listen", configuration.api.listen),
            ("server.listen_tls", server.listenTLS), ("api.listen_tls", configuration.api.listenTLS),
        ]
        for (index, (key, addresses)) in listeners.enumerated().dropFirst(2) {
            for address in addresses where address.port != 0 {
                guard let (other, _) = listeners[..<index].first(where: { $1.contains(address) }) else { continue }
                report(
                    "\(key): \(quoted(address.description)) is in \(other), too; take another port for one of them",
                    about: [key, other])
            }
        }
    }
}
