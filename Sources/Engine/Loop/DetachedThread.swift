import CLinux
import Glibc

/// A thread that nobody joins, with signals blocked; the control plane handles them.
enum DetachedThread {
    /// The argument of the thread's entry function, which releases it.
    private final class Start {
        let name: String
        let body: @Sendable () -> Void

        init(_ name: String, _ body: @escaping @Sendable () -> Void) {
            self.name = name
            self.body = body
        }
    }

    /// Starts a thread that ends with `body`. Returns 0, or the errno of pthread_create(3), and then `body` is not called.
    ///
    /// - Parameter name: at most 15 bytes.
    static func start(named name: String, _ body: @escaping @Sendable () -> Void) -> Int32 {
        let start = Unmanaged.passRetained(Start(name, body))
        var thread = pthread_t()
        let result = pthread_create(
            &thread, nil,
            { argument in
                let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
                clinux_block_signals()
                clinux_name_this_thread(start.name)
                start.body()
                return nil
            }, start.toOpaque())
        guard result == 0 else {
            start.release()
            return result
        }
        pthread_detach(thread)
        return 0
    }
}
