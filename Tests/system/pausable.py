"""What every server that is one process can do."""

import contextlib
import signal


class Pausable:
    """A server whose process is `process`."""

    @contextlib.contextmanager
    def paused(self):
        """Makes it stand still, its connections open (SIGSTOP)."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)
