"""Crowds in processes of their own, so that one interpreter is no limit for thousands of clients."""

import multiprocessing
import resource

from restartcrowd import Crowd
from waiting import DEADLINE


def run(pipe, ports, options):
    """A crowd that does what is asked for through a pipe: the name of a method; its result, or what was wrong."""
    try:
        crowd = Crowd(*ports, **options)
        pipe.send((None, len(crowd.clients)))
        while True:
            name, arguments = pipe.recv()
            pipe.send((None, getattr(crowd, name)(*arguments)))
            if name == "finish":
                return
    except AssertionError as fault:
        pipe.send((str(fault), None))


class Crowds:
    """Several crowds with the interface of one, each in a process of its own."""

    def __init__(self, *ports, parts, **options):
        """`parts` are what the crowds have of their own, the number of their groups at least."""
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        # A fork would copy whatever threads of this process hold.
        context = multiprocessing.get_context("spawn")
        self._crowds = []
        first = 0
        for part in parts:
            ours, theirs = context.Pipe()
            process = context.Process(
                target=run, args=(theirs, ports, options | part | {"first_group": first}), daemon=True)
            process.start()
            theirs.close()
            first += part["groups"]
            self._crowds.append((process, ours))
        self.count = sum(self._answers(600))

    def _answers(self, deadline):
        """What every crowd answers; fails with the faults of all."""
        answers, faults = [], []
        for process, pipe in self._crowds:
            assert pipe.poll(deadline), f"a process of clients does not answer (exit code {process.exitcode})"
            fault, answer = pipe.recv()
            answers.append(answer)
            if fault is not None:
                faults.append(fault)
        assert not faults, "\n".join(faults)
        return answers

    def _ask(self, name, *arguments, deadline=DEADLINE * 6):
        for _, pipe in self._crowds:
            pipe.send((name, arguments))
        return self._answers(deadline)

    def wait_for_more(self, count=3):
        self._ask("wait_for_more", count)

    def forget_silence(self):
        self._ask("forget_silence")

    def longest_silence(self):
        return max(filter(None, self._ask("longest_silence")))

    def said(self):
        """The number of messages that were said so far."""
        return sum(self._ask("said"))

    def finish(self):
        self._ask("finish")
        for process, _ in self._crowds:
            process.join()

    def kill(self):
        for process, _ in self._crowds:
            process.kill()
            process.join()
