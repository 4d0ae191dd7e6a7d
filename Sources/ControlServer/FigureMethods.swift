import Control
import Varlink
import VarlinkServer

/// The methods that both interfaces have: figures, which identify no client.
struct FigureMethods: Sendable {
    let backend: any ControlBackend

    /// Executes a call; nil if the method isn't one of these.
    func respond(to request: VarlinkRequest) async throws -> (any Encodable & Sendable)? {
        guard request.member == GetStatus.name else { return nil }
        _ = try request.parameters(as: NoParameters.self)
        return GetStatus.Reply(status: await backend.status())
    }
}
