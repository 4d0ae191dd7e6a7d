import Authentication
import Base
import CLinux
import Control
import Engine
import Glibc
import Settings
import TLSHandshake
import TLSRecords

extension Settings.TLS {
    /// Reads the certificates and their keys, all or none, and names every mistake.
    ///
    /// - Parameters:
    ///   - tickets: the keys of tickets, which outlive a change of the certificates.
    ///   - takesAnyDates: whether a certificate may have expired, or may not be valid yet. A start takes it, so that a renewal
    ///     that has failed, or a clock that is not set yet, keeps nobody out but those who verify it; ``TLSContext/notices``
    ///     tell.
    /// - Returns: what handshakes go by; nil without certificates.
    func context(_ tickets: TicketKeys, takesAnyDates: Bool = false) throws(KeyErrors) -> TLSContext? {
        guard !certificates.isEmpty else { return nil }
        // Before there is a key in memory. It is allowed only where these settings come into force.
        if !dumpsCore { _ = clinux_set_dumpable(0) }
        var errors: [KeyError] = []
        var found: [ServerCertificate] = []
        for certificate in certificates {
            do throws(KeyErrors) { found.append(try certificate.read(takesAnyDates: takesAnyDates)) } catch {
                errors += error.errors
            }
        }
        var clients: ClientVerification?
        do throws(KeyErrors) { clients = try clientVerification() } catch { errors += error.errors }
        guard errors.isEmpty else { throw KeyErrors(errors: errors) }
        do throws(TLSFault) {
            return try TLSContext(
                found, minimumVersion: minimumVersion == .tls13 ? .tls13 : .tls12, tickets: tickets, clients: clients)
        } catch {
            throw KeyErrors(errors: [KeyError("tls.certificates: \(error)")])
        }
    }

    /// Makes the process dumpable or not, as these settings in force want it.
    func applyCoreDumps() {
        if !certificates.isEmpty { _ = clinux_set_dumpable(dumpsCore ? 1 : 0) }
    }

    /// What the certificates of clients are verified by; nil if they are not asked for any.
    private func clientVerification() throws(KeyErrors) -> ClientVerification? {
        guard clientCertificates != .none, let file = clientAuthorityFile else { return nil }
        let name = "tls.client_ca = \"\(file)\""
        let bytes: [UInt8]
        do throws(KeyError) { bytes = try KeyFileReader.contents(of: file.path, shownAs: name) } catch {
            throw KeyErrors(errors: [error])
        }
        do throws(CertificateErrors) {
            return try ClientVerification(
                authorities: bytes, isRequired: clientCertificates == .required, user: clientIdentity.kind)
        } catch {
            throw KeyErrors(errors: error.errors.map { KeyError("\(name): \($0)") })
        }
    }
}

extension Settings.TLS.ClientIdentity {
    fileprivate var kind: ClientCertificate.NameKind? {
        switch self {
        case .none: nil
        case .commonName: .commonName
        case .dns: .dns
        case .email: .email
        case .uri: .uri
        }
    }
}

extension Settings.TLS.Certificate {
    private var certificateName: String { "tls.certificates[].certificate = \"\(certificate)\"" }
    private var keyName: String { "tls.certificates[].key = \"\(key)\"" }

    fileprivate func read(takesAnyDates: Bool) throws(KeyErrors) -> ServerCertificate {
        var errors: [KeyError] = []
        var contents: [[UInt8]] = []
        defer { for index in contents.indices { explicit_bzero(&contents[index], contents[index].count) } }
        for (file, name) in [(certificate, certificateName), (key, keyName)] {
            do throws(KeyError) {
                contents.append(try KeyFileReader.contents(of: file.path, shownAs: name))
            } catch { errors.append(error) }
        }
        guard errors.isEmpty, contents.count == 2 else { throw KeyErrors(errors: errors) }
        do throws(CertificateErrors) {
            return try ServerCertificate(
                certificate: contents[0], key: contents[1], now: takesAnyDates ? nil : Clock.milliseconds() / 1_000)
        } catch {
            throw KeyErrors(
                errors: error.errors.map { KeyError("\($0.file == .key ? keyName : certificateName): \($0)") })
        }
    }
}

extension ServerCertificate {
    /// How long before its end it should have been renewed, in seconds: a third of its life, and two weeks at most.
    fileprivate var renewalTime: Int64 { min(14 * 86_400, (expiresAt - beginsAt) / 3) }
}

extension TLSContext {
    /// The certificates in force, for operators.
    var status: [CertificateStatus] {
        certificates.map {
            CertificateStatus(
                names: $0.allNames, keyKind: $0.keyKind,
                expiresAt: RFC3339.string(millisecondsSinceEpoch: $0.expiresAt * 1_000))
        }
    }

    /// The certificates that are not valid now or expire soon, and those whose chain is not complete, as notices
    /// for the administrator.
    var notices: [String] {
        let now = Clock.milliseconds() / 1_000
        return certificates.flatMap { certificate in
            let name = "the certificate for \(certificate.allNames.joined(separator: ", "))"
            let gap = certificate.gap.map { ["\(name): \($0)"] } ?? []
            if certificate.beginsAt > now {
                return gap + ["\(name) is not valid before \(date(certificate.beginsAt)): is the clock right?"]
            }
            guard certificate.expiresAt - now < certificate.renewalTime else { return gap }
            let state =
                certificate.expiresAt > now
                ? "expires on \(date(certificate.expiresAt))"
                : "expired on \(date(certificate.expiresAt)), and clients refuse it"
            return gap + ["\(name) \(state): renew it, and systemctl reload wsd"]
        }
    }

    private func date(_ seconds: Int64) -> Substring {
        RFC3339.string(millisecondsSinceEpoch: seconds * 1_000).prefix(10)
    }
}
