import Glibc
import Varlink

/// Standard input.
enum StandardInput {
    /// The maximum size of a message: the size of a call, with room for what JSON and Base64 add.
    static let limit = FrameSplitter.defaultLimit / 2

    /// Reads everything up to the end.
    static func readAll() throws(Failure) -> [UInt8] {
        var all: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = read(STDIN_FILENO, &piece, piece.count)
            if count == 0 { return all }
            if count < 0 {
                if errno == EINTR { continue }
                throw Failure("cannot read standard input: \(String(cString: strerror(errno)))")
            }
            all += piece[..<count]
            guard all.count <= limit else {
                throw Failure(
                    "the message has more than \(limit) bytes",
                    advice: "Split it; see also 'wsctl limits websocket.max_message_size'.")
            }
        }
    }
}
