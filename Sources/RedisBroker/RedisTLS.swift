import Glibc
import NIOCore
import NIOSSL

/// The use of TLS on a connection to a server.
struct RedisTLS: Sendable {
    /// A file that can't be used.
    struct UnusableFile: Error, CustomStringConvertible {
        var description: String
    }

    private let context: NIOSSLContext
    private let serverName: String?

    /// Reads the files with certificates and keys.
    init(_ options: RedisBroker.TLS, _ address: RedisAddress) throws {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.trustRoots = try options.authorityFile.map { path in
            .certificates(try Self.read(path, "no certificates") { try NIOSSLCertificate.fromPEMFile($0) })
        }
        if let path = options.certificateFile {
            configuration.certificateChain = try Self.read(path, "no certificate") { path in
                try NIOSSLCertificate.fromPEMFile(path).map { .certificate($0) }
            }
        }
        if let path = options.keyFile {
            configuration.privateKey = try Self.read(path, "no private key") { path in
                .privateKey(try NIOSSLPrivateKey(file: path, format: .pem))
            }
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

    private static func read<Value>(_ path: String, _ lack: String, _ body: (String) throws -> Value) throws -> Value {
        guard access(path, R_OK) == 0 else {
            throw UnusableFile(description: "\(path): \(String(cString: strerror(errno)))")
        }
        do { return try body(path) } catch { throw UnusableFile(description: "\(path) has \(lack) in it") }
    }
}
