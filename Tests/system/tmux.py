"""A terminal that a test sits at."""

import subprocess
from pathlib import Path

from waiting import wait_until


class Tmux:
    """A terminal that a person would sit at."""

    def __init__(self, directory, command, size=(100, 30)):
        self.socket = str(directory / "tmux")
        self.run("-f", "/dev/null", "new-session", "-d", "-x", str(size[0]), "-y", str(size[1]), command)

    def run(self, *arguments):
        done = subprocess.run(["tmux", "-S", self.socket, *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def screen(self):
        return self.run("capture-pane", "-p")

    def keys(self, *keys):
        self.run("send-keys", *keys)

    def type(self, text):
        """Types text as it is, though it is the name of a key."""
        self.run("send-keys", "-l", "--", text)

    def wait_for(self, text):
        wait_until(lambda: text in self.screen(), f"the screen shows {text!r}")
        return self.screen()

    def close(self):
        """Ends it, and waits until what ran in it is gone: a shell may still write its history."""
        listed = subprocess.run(
            ["tmux", "-S", self.socket, "list-panes", "-a", "-F", "#{pane_pid}"], capture_output=True, text=True
        )
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], capture_output=True)
        wait_until(lambda: not any(map(is_running, listed.stdout.split())), "the terminal's programs have ended")


def is_running(pid):
    """Whether there is such a process; one that nobody has waited for yet has ended (proc(5))."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
