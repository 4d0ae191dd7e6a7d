extension Settings {
    /// `[tls]`: the certificates of this server.
    package struct TLS: Sendable, Equatable {
        /// The certificates with their keys; empty for no TLS. The first is for clients that name no host.
        package var certificates: [Certificate] = []
        /// The oldest version that clients may use.
        package var minimumVersion = MinimumVersion.tls12
        /// Whether clients are asked for certificates.
        package var clientCertificates = ClientCertificates.none
        /// The file with the certificates of the authorities that sign those of clients.
        package var clientAuthorityFile: KeyFile?
        /// The name in the certificate of a client that is its user.
        package var clientIdentity = ClientIdentity.none

        /// Whether core dumps are made of the process though they have keys in them.
        package var dumpsCore = false
        /// Whether those who open the chat page without TLS are redirected to https.
        package var redirectsToHTTPS = false
        /// The path of the directory with answers to challenges of certificate authorities; empty for none.
        package var challengeDirectory = ""

        /// A certificate and its key.
        package struct Certificate: Sendable, Equatable {
            /// The file with the certificate, and with those of the authorities between it and a root.
            package var certificate: KeyFile
            /// The file with its key.
            package var key: KeyFile

            /// A certificate from its files.
            package init(certificate: KeyFile, key: KeyFile) {
                self.certificate = certificate
                self.key = key
            }
        }

        /// Whether clients are asked for certificates.
        package enum ClientCertificates: String, Sendable, CaseIterable {
            /// They are not asked.
            case none
            /// They are asked, and those that have none may connect.
            case optional
            /// Those that have none are refused.
            case required
        }

        /// The name in the certificate of a client that is its user.
        package enum ClientIdentity: String, Sendable, CaseIterable {
            /// A certificate makes nobody a user.
            case none
            /// The common name in its subject.
            case commonName = "cn"
            /// The first of the alternative names of a kind.
            case dns, email, uri
        }

        /// A version of TLS.
        package enum MinimumVersion: String, Sendable, CaseIterable {
            case tls12 = "1.2"
            case tls13 = "1.3"
        }
    }
}
