import Control
import Testing
import Varlink

@testable import wsctl

@Suite("The failure for an error of the daemon")
struct FailureTests {
    private func failure(_ error: ControlError) -> Failure {
        Failure(VarlinkClientError.failed(error.varlinkError(interface: "io.wsd.Control")))
    }

    @Test("advises to try again only where that may succeed")
    func refusedMessages() {
        #expect(
            failure(.unavailable("the broker can't be reached"))
                == Failure("the broker can't be reached", advice: "See 'wsctl status', and try again."))
        #expect(
            failure(.rejected("it is larger than max_payload"))
                == Failure("it is larger than max_payload", advice: "Send a smaller message."))
    }
}
