import Glibc
import NIOCore
import NIOPosix
import TLSHandshake

/// Why there is no connection, for the person who has to do something about it.
package enum ConnectionReason {
    /// The reason, as what follows the server's name.
    package static func text(_ error: any Error, isConnected: Bool) -> String {
        switch error {
        case let error as NIOConnectionError:
            guard let last = error.connectionErrors.last else { return "has no address: the name is not known" }
            return text(last.error, isConnected: isConnected)
        case let error as IOError where error.errnoCode == EAFNOSUPPORT:
            return "can't be reached: the sandbox of the service permits no TCP; see \"The sandbox\" in wsd-broker(7)"
        case let error as IOError:
            let cause = String(cString: strerror(error.errnoCode))
            return isConnected ? "broke off the connection: \(cause)" : "can't be reached: \(cause)"
        case let error as TLSClient.UnusableFile: return "can't be used with TLS: \(error)"
        case let error as TLSClientFault: return "\(error)"
        case ChannelError.connectTimeout(let time):
            return "can't be reached: no connection within \(time.nanoseconds / 1_000_000_000) s"
        default: return "failed: \(error)"
        }
    }
}

extension Duration {
    /// The number of seconds, with as many decimal places as are needed, at most three.
    package var secondsText: String {
        let milliseconds = components.seconds * 1_000 + components.attoseconds / 1_000_000_000_000_000
        guard milliseconds % 1_000 != 0 else { return "\(milliseconds / 1_000)" }
        var fraction = String("\(1_000 + milliseconds % 1_000)".dropFirst())
        while fraction.hasSuffix("0") { fraction.removeLast() }
        return "\(milliseconds / 1_000).\(fraction)"
    }
}
