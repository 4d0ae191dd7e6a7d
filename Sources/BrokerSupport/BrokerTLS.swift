import Glibc
package import TLSChannel
package import TLSHandshake

/// How TLS is used with a broker.
package struct BrokerTLS: Sendable {
    /// A file with the certificates of the authorities that are trusted; nil for those of the system.
    package var authorityFile: String?
    /// The name that the server's certificate has to be for; nil for the host of the address.
    package var serverName: String?
    /// Files with this client's certificate and key, if the server asks for them.
    package var certificateFile: String?
    package var keyFile: String?

    package init(
        authorityFile: String? = nil, serverName: String? = nil, certificateFile: String? = nil,
        keyFile: String? = nil
    ) {
        self.authorityFile = authorityFile
        self.serverName = serverName
        self.certificateFile = certificateFile
        self.keyFile = keyFile
    }
}

/// The use of TLS on a connection to a server.
package struct TLSClient: Sendable {
    /// A file that can't be used.
    package struct UnusableFile: Error, CustomStringConvertible {
        package var description: String
    }

    private let context: TLSClientContext
    private let serverName: String

    /// The maximum size of a file, in bytes.
    private static let maximumFileByteCount = 4 << 20

    /// Reads the files with certificates and keys.
    ///
    /// - Parameter host: the host that is connected to, by name or address; nil for none.
    package init(_ options: BrokerTLS, host: String?) throws {
        let authorities = try options.authorityFile.map { try Self.read($0) }
        var certificate: ServerCertificate?
        if let path = options.certificateFile, let keyPath = options.keyFile {
            let (chain, key) = (try Self.read(path), try Self.read(keyPath))
            do {
                certificate = try ServerCertificate(certificate: chain, key: key, now: Int64(time(nil)))
            } catch {
                let mistakes = error.errors.map { "\($0.file == .key ? keyPath : path): \($0)" }
                throw UnusableFile(description: mistakes.joined(separator: "; "))
            }
        }
        do { context = try TLSClientContext(authorities: authorities, certificate: certificate) } catch {
            let file = error.file == .authorities ? options.authorityFile : options.certificateFile
            throw UnusableFile(description: "\(file ?? "the authorities of this machine"): \(error)")
        }
        guard let name = options.serverName ?? host else {
            throw TLSClientFault.failed("the server has no name that a certificate could be for")
        }
        serverName = name
    }

    /// A handler for one connection. Without a name of the server, its certificate has to be for its host or address.
    package func handler() throws(TLSClientFault) -> TLSClientHandler {
        try TLSClientHandler(context, serverName: serverName)
    }

    private static func read(_ path: String) throws(UnusableFile) -> [UInt8] {
        func failed() -> UnusableFile { UnusableFile(description: "\(path): \(String(cString: strerror(errno)))") }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)
        guard descriptor >= 0 else { throw failed() }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            guard count >= 0 else {
                if errno == EINTR { continue }
                throw failed()
            }
            guard count > 0 else { return bytes }
            bytes += chunk[..<count]
            guard bytes.count <= maximumFileByteCount else {
                throw UnusableFile(description: "\(path) is larger than \(maximumFileByteCount >> 20) MiB")
            }
        }
    }
}
