import Settings

/// The keys about TLS.
extension Schema {
    static let tls: [SchemaKey<Settings>] = [
        SchemaKey(
            "certificates", \.tls.certificates, .array(of: .certificate, "certificates"), .live,
            example: "[{certificate = \"/etc/wsd/fullchain.pem\", key = \"/etc/wsd/privkey.pem\"}]",
            "the certificates of this server with their keys; the first is for clients that name no host"),
        SchemaKey(
            "minimum_version", \.tls.minimumVersion, .choice(), .live, "the oldest version of TLS that clients may use"),
        SchemaKey(
            "client_certificates", \.tls.clientCertificates, .choice(), .live,
            "whether clients are asked for certificates of their own"),
        SchemaKey(
            "client_ca", \.tls.clientAuthorityFile, .keyFileOrNone, .live, example: "\"/etc/wsd/clients.pem\"",
            "the authorities that sign the certificates of clients"),
        SchemaKey(
            "client_identity", \.tls.clientIdentity, .choice(), .live,
            "the name in the certificate of a client that is its user"),
        SchemaKey(
            "core_dumps", \.tls.dumpsCore, .boolean, .live,
            "whether core dumps are made of the process though they have keys in them"),
        SchemaKey(
            "http_redirect", \.tls.redirectsToHTTPS, .boolean, .live,
            "whether who opens the chat page without TLS is sent to https"),
        SchemaKey(
            "acme_directory", \.tls.challengeDirectory, .directoryOrNone, .live, example: "\"/var/www\"",
            "where certbot and its like leave their answers to challenges, as for a web server"),
    ]
}

extension ValueFormat<String> {
    /// The path of a directory, or nothing.
    fileprivate static let directoryOrNone = string(
        "path", expected: "an absolute path in quotes", range: "absolute",
        parse: { written throws(InvalidValue) in
            guard written.isEmpty || written.hasPrefix("/"), !written.utf8.contains(0) else {
                throw InvalidValue("\(quoted(written)) is not absolute; write it from \"/\" on, such as \"/var/www\"")
            }
            return written
        },
        text: { $0 })
}

extension ValueFormat<Settings.TLS.Certificate> {
    /// A certificate with its key, each a file.
    static let certificate = ValueFormat(
        type: "certificate", expected: "a table with a certificate and a key",
        decode: { node, decoding in
            guard case .table(let entries) = node.value else {
                decoding.reportType(node, expected: "tables with a certificate and a key")
                return nil
            }
            var files: [String: KeyFile] = [:]
            for entry in entries {
                guard entry.key == "certificate" || entry.key == "key" else {
                    decoding.report("\(quoted(entry.key)) is unknown; each has a certificate and a key", at: entry.node)
                    return nil
                }
                guard let file = ValueFormat<KeyFile>.keyFile.decode(entry.node, &decoding) else { return nil }
                files[entry.key] = file
            }
            guard let certificate = files["certificate"], let key = files["key"] else {
                let missing = files["certificate"] == nil ? "certificate" : "key"
                decoding.report("one has no \(missing); each has a certificate and a key", at: node)
                return nil
            }
            return Settings.TLS.Certificate(certificate: certificate, key: key)
        },
        text: {
            "{certificate = \(quoted($0.certificate.description)), key = \(quoted($0.key.description))}"
        })
}
