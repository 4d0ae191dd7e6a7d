"""Tab in real shells: what the daemon's clients call themselves is offered, and never obeyed."""

import contextlib
import re
import signal
import subprocess
import time

import pytest
from websockets.sync.client import connect

from jsonclient import JSONClient
from tmux import Tmux
from waiting import DEADLINE, wait_until
from wsdaemon import binary, clean_environment

SHELLS = ["bash", "zsh", "fish"]
START = {
    "bash": "bash --norc --noprofile -i",
    "zsh": "zsh -f -i",
    "fish": "fish --no-config -i",
}
# Typed into each shell first. The marks tell the screen from what was typed.
PREPARE = {
    "bash": "PS1='> '; source {script}; echo rea''dy",
    "zsh": "PS1='> '; autoload -Uz compinit; compinit -u -d {directory}/zcompdump; source {script}; echo rea''dy",
    "fish": "source {script}; echo rea''dy",
}
# Answers the shell as wsctl does, and else only writes down what it was called with.
STAND_IN = """#!/bin/bash
if [[ $1 == ---complete ]]; then exec {wsctl} "$@"; fi
{{ printf '<%s>' "$@"; printf '\\n'; }} >>{calls}
"""


def asked(daemon, *arguments, **options):
    """The answer that a shell's script gets."""
    done = subprocess.run(
        [binary("wsctl"), "---complete", *arguments],
        env=clean_environment(WSD_SOCKET=daemon.control) | options,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert done.returncode == 0 and done.stderr == ""
    return done.stdout.splitlines()


@contextlib.contextmanager
def channels(daemon, *names):
    with contextlib.ExitStack() as stack:
        for name in names:
            client = stack.enter_context(JSONClient(daemon.port))
            client.ok("join", channel=name)
        yield


class Shell:
    """A person's shell, in which Tab asks wsctl."""

    def __init__(self, name, daemon, directory):
        self.calls = directory / "calls"
        self.calls.touch()
        script = directory / f"completion.{name}"
        made = subprocess.run([binary("wsctl"), "--generate-completion-script", name], capture_output=True, check=True)
        script.write_bytes(made.stdout)
        programs = directory / "bin"
        programs.mkdir()
        (programs / "wsctl").write_text(STAND_IN.format(wsctl=binary("wsctl"), calls=self.calls))
        (programs / "wsctl").chmod(0o755)
        command = f"cd {directory}; exec env WSD_SOCKET={daemon.control} HOME={directory} LC_ALL=C.UTF-8"
        self.terminal = Tmux(directory, f'{command} PATH="{programs}:$PATH" {START[name]}', size=(120, 40))
        self.terminal.type(PREPARE[name].format(script=script, directory=directory))
        self.terminal.keys("Enter")
        self.terminal.wait_for("ready")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.terminal.close()

    def complete(self, typed, then=""):
        """Types, presses Tab, types on, and says what wsctl is called with after Enter."""
        before = len(self._lines())
        self.terminal.type(typed)
        self.terminal.keys("Tab")
        self.terminal.type(then)
        self.terminal.keys("Enter")
        return wait_until(lambda: self._lines()[before:], f"{typed!r} is completed and run")[-1]

    def _lines(self):
        # The last line may not be whole.
        return self.calls.read_text().split("\n")[:-1]


@pytest.fixture(params=SHELLS)
def shell(request, daemon, wsd_directory):
    directory = wsd_directory / "shell"
    directory.mkdir()
    with channels(
        daemon, "room:1", "room:2", "it's", "$(touch X)", "`touch X`", "a b", "--all", "größe:a", 'quo"te', "new!x"
    ), Shell(request.param, daemon, directory) as shell:
        shell.name = request.param
        shell.directory = directory
        yield shell
        assert not (directory / "X").exists(), "a channel's name was obeyed"


def test_names_are_completed_and_none_is_obeyed(shell):
    # What there is in common, and what is left after a colon.
    assert shell.complete("wsctl presence ro", then="1") == "<presence><room:1>"
    assert shell.complete("wsctl presence room:1") == "<presence><room:1>"
    assert shell.complete("wsctl history gr") == "<history><größe:a>"
    # What a shell would take apart, or obey.
    assert shell.complete("wsctl presence it") == "<presence><it's>"
    assert shell.complete("wsctl presence a") == "<presence><a b>"
    assert shell.complete("wsctl presence quo") == '<presence><quo"te>'
    assert shell.complete("wsctl presence ne") == "<presence><new!x>"
    assert shell.complete("wsctl presence \\$") == "<presence><$(touch X)>"
    assert shell.complete("wsctl presence \\`") == "<presence><`touch X`>"
    # Inside a quote, and behind an option.
    assert shell.complete("wsctl presence '$") == "<presence><$(touch X)>"
    assert shell.complete('wsctl presence "it') == "<presence><it's>"
    assert shell.complete("wsctl list --channel ro", then="2") == "<list><--channel><room:2>"
    assert shell.complete("wsctl list --channel=ro", then="2") == "<list><--channel=room:2>"
    # What wsctl knows itself.
    assert shell.complete("wsctl pub") == "<publish>"
    assert shell.complete("wsctl --json top --ord", then="id") == "<--json><top><--order><id>"
    assert shell.complete("wsctl limits limits.bu", then="5") == "<limits><limits.burst=5>"
    assert shell.complete("wsctl limits queue.policy=drop-o") == "<limits><queue.policy=drop-oldest>"
    assert shell.complete("wsctl limits queue.limit=1MiB log.access=a") == "<limits><queue.limit=1MiB><log.access=all>"


def test_a_list_of_names_is_shown_and_none_is_obeyed(shell):
    shell.terminal.type("wsctl presence ")
    shell.terminal.keys("Tab", "Tab")
    shell.terminal.wait_for("room:2")
    # A name that would be taken for an option is left out.
    assert "--all" not in shell.terminal.screen()


def test_the_socket_on_the_line_is_the_one_that_is_asked(daemon):
    with channels(daemon, "room:1"):
        nowhere = {"WSD_SOCKET": "/nonexistent"}
        assert asked(daemon, "fish", "presence", "room", **nowhere) == ["words"]
        for words in (
            ["presence", "--socket", daemon.control],
            ["--socket", daemon.control, "presence"],
            [f"--socket={daemon.control}", "presence"],
            ["presence", f"--socket={daemon.control}"],
        ):
            assert asked(daemon, "fish", *words, "room", **nowhere) == ["words", "room:1"]
        assert asked(daemon, "fish", "presence", "--socket", daemon.status_path, "room", **nowhere) == ["words"]
        assert asked(daemon, "fish", "presence", "--socket", "/ru") == ["file"]


def test_what_can_be_named_is_completed(daemon):
    with JSONClient(daemon.port) as client, connect(daemon.url()):
        name, user = client.welcome["connection"], client.welcome["user"]
        assert name in asked(daemon, "zsh", "show", "")
        assert name in asked(daemon, "zsh", "kick", "zzzzzzzzz", name[:3])
        assert asked(daemon, "fish", "why", user) == ["words", user]
        assert asked(daemon, "fish", "why", name) == ["words", name]
        assert asked(daemon, "bash", f"wsctl list --user={user[:2]}", user[:2]) == ["words", user]
        found = asked(daemon, "fish", "list", "--socket", daemon.control, "--endpoint", "")
        assert found == ["words", "/ws", "/chat"] or found == ["words", "/chat", "/ws"]
        # Who may see figures only is shown no names.
        for words in (["show"], ["kick"], ["why"], ["list", "--user"], ["list", "--endpoint"]):
            command, *option = words
            assert asked(daemon, "fish", command, "--socket", daemon.status_path, *option, "") == ["words"], words
        assert "limits.channels" in asked(daemon, "fish", "config", "lim")
        assert "queue.policy=" in asked(daemon, "fish", "limits", "queue.limit=1MiB", "queue.")
        assert "server.workers=" not in asked(daemon, "fish", "limits", "server.")
        assert asked(daemon, "fish", "limits", "queue.policy=drop") == [
            "words", "queue.policy=drop-oldest", "queue.policy=drop-newest"
        ]
        assert asked(daemon, "zsh", "limits", "websocket.compression=") == [
            "words", "websocket.compression=true", "websocket.compression=false"
        ]
        assert asked(daemon, "bash", "wsctl limits log.access=l", "l") == ["words", "limited"]
        assert asked(daemon, "fish", "limits", "limits.burst=") == asked(daemon, "fish", "limits", "x.y=") == ["words"]
        assert "idle" in asked(daemon, "fish", "top", "--order", "")
        assert "--order\tThe order of the connections, the largest value first." in asked(daemon, "fish", "top", "--")
        assert not any(line.startswith("--order") for line in asked(daemon, "fish", "top", "--order", "idle", "--"))
    # What can't be meant is no reason to say anything.
    assert asked(daemon, "fish", "nonsense", "") == asked(daemon, "csh", "show", "") == []
    assert asked(daemon, "fish", "show", "a", "b") == ["words"]


def test_ids_are_completed_among_many_connections(daemon):
    with contextlib.ExitStack() as stack:
        for _ in range(700):
            stack.callback(daemon.connect("/ws").close)
        daemon.wait_for_connections(700)
        ids = [row["id"] for row in daemon.connections()]
        for each in (ids[0], ids[350], ids[-1]):
            assert each in asked(daemon, "fish", "show", each[:-4])
        assert len(asked(daemon, "fish", "show", "")) == 201


@pytest.mark.parametrize("words", [["presence", ""], ["show", ""], ["why", ""], ["list", "--endpoint", ""], ["config", ""]])
def test_a_daemon_that_hangs_keeps_nobody_waiting(daemon, words):
    daemon.signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        assert asked(daemon, "fish", *words) == ["words"]
        # A second, where the time-out of every other call is 45.
        assert time.monotonic() - began < 10
    finally:
        daemon.signal(signal.SIGCONT)


@pytest.mark.parametrize("shell_name", SHELLS)
def test_scripts_have_no_word_list_of_the_daemon(shell_name):
    script = subprocess.run(
        [binary("wsctl"), "--generate-completion-script", shell_name], capture_output=True, text=True, check=True
    ).stdout
    assert "---complete" in script and "compgen -W" not in script and "eval" not in script
    equals = subprocess.run(
        [binary("wsctl"), f"--generate-completion-script={shell_name}"], capture_output=True, text=True, check=True
    )
    assert equals.stdout == script
    parsed = subprocess.run([shell_name, "-n"], input=script, capture_output=True, text=True)
    assert parsed.returncode == 0, parsed.stderr


def test_a_shell_without_completion_is_named():
    refused = subprocess.run(
        [binary("wsctl"), "--generate-completion-script", "csh"], capture_output=True, text=True
    )
    assert (refused.returncode, refused.stdout) == (64, "") and "csh" in refused.stderr and "zsh" in refused.stderr


@pytest.mark.parametrize("shell_name", SHELLS)
def test_files_are_completed_where_wsd_takes_one(shell_name):
    script = subprocess.run(
        [binary("wsd"), "--generate-completion-script", shell_name], capture_output=True, text=True, check=True
    ).stdout
    for option in ("config", "control"):
        files = {
            "bash": rf"'--{option}'\)\n\s+__wsd_add_completions -f\n",
            "zsh": rf"--{option}\[[^\]]*\]:[a-z]+:_files",
            "fish": rf"-l '{option}' .*-rF",
        }[shell_name]
        assert re.search(files, script), script
