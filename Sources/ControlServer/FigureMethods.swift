import Control
import Varlink
import VarlinkServer

/// The methods that both interfaces have: figures, which name nobody.
struct FigureMethods: Sendable {
    let backend: any ControlBackend

    /// Carries out a call; nil when the method isn't one of these.
    func respond(to request: VarlinkRequest) async throws -> (any Encodable & Sendable)? {
        guard request.member == GetStatus.name else { return nil }
        _ = try request.parameters(as: NoParameters.self)
        return GetStatus.Reply(status: await backend.status())
    }
}
