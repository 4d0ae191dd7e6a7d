import NIOCore
import NIOSSL

/// The use of TLS on a connection to a server.
struct RedisTLS: Sendable {
    private let context: NIOSSLContext
    private let serverName: String?

    /// Reads the files with certificates and keys.
    init(_ options: RedisBroker.TLS, _ address: RedisAddress) throws {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        if let path = options.authorityFile { configuration.trustRoots = .file(path) }
        if let path = options.certificateFile {
            configuration.certificateChain = try NIOSSLCertificate.fromPEMFile(path).map { .certificate($0) }
        }
        if let path = options.keyFile {
            configuration.privateKey = .privateKey(try NIOSSLPrivateKey(file: path, format: .pem))
        }
        context = try NIOSSLContext(configuration: configuration)
        serverName =
            if let name = options.serverName {
                name
            } else if case .tcp(let host, _) = address, (try? SocketAddress(ipAddress: host, port: 0)) == nil {
                host
            } else {
                nil
            }
    }

    /// A handler for one connection. Without a name of the server, its certificate has to be for its address.
    func handler() throws -> NIOSSLClientHandler {
        try NIOSSLClientHandler(context: context, serverHostname: serverName)
    }
}
