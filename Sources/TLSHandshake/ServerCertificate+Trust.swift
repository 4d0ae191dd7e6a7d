import COpenSSL
import Glibc

extension ServerCertificate {
    /// What clients will miss between a certificate and an authority, as far as this machine knows authorities; nil if
    /// nothing, and for one that is signed by itself or comes with its own root: that is a choice.
    ///
    /// It is no error: clients may know authorities that this machine doesn't.
    static func gap(behind certificate: OpaquePointer, _ chain: OpaquePointer) -> String? {
        guard let store = X509_STORE_new() else { return nil }
        defer { X509_STORE_free(store) }
        guard copenssl_trust_system(store) == 1, let context = X509_STORE_CTX_new() else {
            ERR_clear_error()
            return nil
        }
        defer {
            X509_STORE_CTX_free(context)
            ERR_clear_error()
        }
        guard X509_STORE_CTX_init(context, store, certificate, chain) == 1,
            X509_STORE_CTX_set_purpose(context, X509_PURPOSE_SSL_SERVER) == 1, X509_verify_cert(context) != 1
        else { return nil }
        let error = X509_STORE_CTX_get_error(context)
        let place = Int(X509_STORE_CTX_get_error_depth(context))
        let last = X509_STORE_CTX_get_current_cert(context)
        switch error {
        case X509_V_OK, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN: return nil
        case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,
            X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
            // Where no authority is known, a root is not missed.
            guard let last, place == 0 || knowsAuthorities else { return nil }
            return """
                its chain is not complete: it ends at \(ClientCertificate.subject(of: last)), signed by \
                \(ClientCertificate.issuer(of: last)), whose certificate is neither behind it nor one of an authority that \
                this machine knows; append it, as in a fullchain.pem, or clients may refuse
                """
        default:
            let reason = X509_verify_cert_error_string(Int(error)).map { String(cString: $0) } ?? "error \(error)"
            return "clients may refuse certificate \(place + 1) of its chain: \(reason)"
        }
    }

    /// Whether this machine has certificates of authorities, by the names by which OpenSSL finds them.
    private static var knowsAuthorities: Bool {
        if let file = getenv(X509_get_default_cert_file_env()), file.pointee != 0 { return true }
        let path = getenv(X509_get_default_cert_dir_env()).map { UnsafePointer($0) } ?? X509_get_default_cert_dir()
        guard let path, let directory = opendir(path) else { return false }
        defer { closedir(directory) }
        while let entry = readdir(directory) {
            let isLink = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }.hasSuffix(".0")
            if isLink { return true }
        }
        return false
    }
}
