"""Ports for the servers of the tests, so that several test processes can run side by side."""

import itertools
import os
import socket
from pathlib import Path

# How many ports a process has to itself.
SLICE = 500

# The slice of this process: (process, the socket that stands for the slice, the ports in turns).
_claimed = None


def free_port():
    """A TCP port that nobody listens on, on any address, and that neither the kernel nor another test process picks."""
    for port in itertools.islice(_ports(), SLICE):
        if _is_free(socket.AF_INET, "0.0.0.0", port) and _is_free(socket.AF_INET6, "::", port):
            return port
    raise RuntimeError(f"none of this process's {SLICE} ports is free")


def _is_free(family, address, port):
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As a server has it: what is left of closed connections is nobody who listens.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
        return True


def _ports():
    """The ports of this process, in turns and without end."""
    global _claimed
    if _claimed is None or _claimed[0] != os.getpid():
        holder, ports = _claim()
        _claimed = os.getpid(), holder, itertools.cycle(ports)
    return _claimed[2]


def _claim():
    """A slice that no other process has, and the socket that says so: it lives as long as the process does.

    Its name is abstract (unix(7)), so it belongs to the network namespace, as ports do, and leaves no file.
    """
    # A client's port comes from this range: any connection may take one of it between its choice and its use.
    low, high = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    outside = [port for port in range(10_000, 65_536) if not low <= port <= high]
    if len(outside) < SLICE:
        raise RuntimeError(f"net.ipv4.ip_local_port_range, {low} to {high}, leaves no ports for the tests' servers")
    for start in range(0, len(outside) - SLICE + 1, SLICE):
        holder = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            holder.bind(f"\0wsd-tests-ports-{outside[start]}")
            return holder, outside[start : start + SLICE]
        except OSError:
            holder.close()
    raise RuntimeError(f"{len(outside) // SLICE} test processes have all the ports there are")
