import Base
import Engine
import Settings

/// The listeners for WebSocket clients, as far as notices for the administrator have to do with them.
struct ListenerFacts: Sendable {
    /// Whether clients of the hub or of its API can begin with TLS.
    var haveTLS: Bool
    /// The port of the first listener for them; nil if there is none.
    var tlsPort: UInt16?
    /// The addresses on which other machines can reach the hub, and those of them without TLS.
    var openAddresses: [String]
    var openPlainAddresses: [String]

    init(_ listeners: [ListeningSocket], _ apiListeners: APIListeners) {
        haveTLS = listeners.contains(where: \.isSecure) || apiListeners.haveTLS
        tlsPort = listeners.tlsPort
        let open = listeners.filter { !$0.isLocal }
        openAddresses = open.map(\.address)
        openPlainAddresses = open.filter { !$0.isSecure }.map(\.address)
    }

    /// What these settings promise and the listeners don't keep, as notices for the administrator.
    func notices(_ tls: Settings.TLS) -> [String] {
        var notices = tls.notices(openPlainAddresses: openPlainAddresses)
        if !tls.certificates.isEmpty, !haveTLS {
            notices.append(
                """
                tls.certificates: no client can begin with TLS, for there is no listener for it: set server.listen_tls, or \
                let systemd pass a socket named "wsd-tls" (systemctl enable --now wsd-tls.socket), and restart
                """)
        }
        if tls.redirectsToHTTPS, tlsPort == nil {
            notices.append(
                "tls.http_redirect: nobody is redirected, for the hub has no port for https; see server.listen_tls")
        }
        return notices
    }
}

extension Settings.TLS {
    /// The notice that clients need no certificate at some listeners, though they do at others.
    ///
    /// - Parameter openPlainAddresses: those of listeners without TLS that other machines can reach.
    func notices(openPlainAddresses: [String]) -> [String] {
        guard clientCertificates == .required, !openPlainAddresses.isEmpty else { return [] }
        return [
            """
            tls.client_certificates: clients without TLS need no certificate, and can reach \
            \(openPlainAddresses.joined(separator: ", ")): set server.listen = [], and "systemctl mask wsd.socket" where \
            systemd passes the socket, or have it listen on 127.0.0.1; see wsd.toml(5)
            """
        ]
    }
}

extension Settings {
    /// The addresses of `server.listen` that other machines can reach, for a check without listeners.
    var openPlainAddresses: [String] { server.listen.filter { !$0.address.isLoopback }.map(\.description) }
}
