"""A restart with more connections than this machine lets a process have: restart_big.py [bookworm|trixie] [--clients N]

Boots Debian with its own kernel and systemd in an emulated machine, installs the service there as its package does, and
opens 200,000 WebSockets to it. Then `systemctl restart wsd`: everybody must stay connected, and hear exactly once and in
order what is said before the restart, by a client while no daemon reads, and after it. Says what became of the connections,
and what the service, systemd and the kernel took.

No virtualisation is needed, so the CPU is some twenty times as slow as it should be: counts and memory mean something, times
do not, and time limits are longer than the package's. It takes 20 minutes and 5 GB, root, for the root file system of the
other tests (container/rootfs.py), and the packages mmdebstrap, qemu-system-x86, cpio, binutils and gcc.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from container.rootfs import MIRROR, SUITES, cache, rootfs
from wsdaemon import REPOSITORY, binary

HERE = Path(__file__).parent
INSIDE = "/usr/local/lib/wsd-tests"
# What the emulation is too slow for. Everything else is as the package has it, above all the limits of descriptors.
SLOW = """[Service]
WatchdogSec=15min
TimeoutAbortSec=15min
TimeoutStartSec=15min
TimeoutStopSec=15min
"""
CONFIGURATION = """
[server]
max_connections = {limit}
max_connections_per_ip = 0
handshake_timeout = "5m"
[websocket]
ping_interval = "{ping_interval}"
pong_timeout = "15m"
"""
SERVICE = f"""[Service]
Type=exec
ExecStart=/usr/bin/python3 {INSIDE}/restart_big_inside.py {{clients}}
LimitNOFILE=infinity
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
"""
KERNEL_OPTIONS = "rdinit=/sbin/init console=ttyS0 quiet panic=-1 systemd.show_status=false systemd.wants=restart-big.service"
QEMU = [
    "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2",
    "-nographic", "-no-reboot", "-nic", "none",
]  # fmt: skip
# What stands before the lines that are meant for us, among those of the kernel and of systemd.
MARK = "restart_big: "


def kernel(suite):
    """The kernel of a release for virtual machines, fetched first where it isn't there yet."""
    target = cache() / f"vmlinuz-{suite}"
    if not target.exists():
        with tempfile.TemporaryDirectory() as tree:
            subprocess.run(
                ["mmdebstrap", "--quiet", "--mode=chrootless", "--variant=extract", "--include=linux-image-cloud-amd64"]
                + [suite, tree, MIRROR], check=True)
            [image] = Path(tree).glob("boot/vmlinuz-*")
            shutil.copy(image, target.with_suffix(".partial"))
        target.with_suffix(".partial").rename(target)
    return target


def write(tree, inside, text):
    path = tree / inside.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def install(tree, options):
    """What the machine has beyond Debian: the service as its package installs it, the clients, and who restarts it."""
    for directory in ("usr/bin", "usr/lib/systemd/system", "usr/lib/sysusers.d", INSIDE.lstrip("/")):
        (tree / directory).mkdir(parents=True)
    for name in ("wsd", "wsctl"):
        # Without debug information, as in the package.
        subprocess.run(["strip", "-o", tree / "usr/bin" / name, binary(name)], check=True)
    for unit in (REPOSITORY / "packaging/systemd").glob("wsd*.*"):
        shutil.copy(unit, tree / "usr/lib/systemd/system")
    shutil.copy(REPOSITORY / "packaging/debian/wsd.sysusers", tree / "usr/lib/sysusers.d/wsd.conf")
    shutil.copytree(REPOSITORY / "etc/wsd", tree / "etc/wsd")
    configuration = CONFIGURATION.format(limit=options.clients + 10_000, ping_interval=options.ping_interval)
    write(tree, "/etc/wsd/wsd.toml.d/50-test.toml", configuration)
    write(tree, "/etc/systemd/system/wsd.service.d/50-test.conf", SLOW)
    write(tree, "/etc/systemd/system/restart-big.service", SERVICE.format(clients=options.clients))
    shutil.copy(HERE / "restart_big_inside.py", tree / INSIDE.lstrip("/"))
    clients = tree / INSIDE.lstrip("/") / "restart_big_clients"
    subprocess.run(["gcc", "-O2", "-static", "-o", clients, HERE / "restart_big_clients.c"], check=True)


def pack(tree, archive):
    """Adds a tree to an initial RAM file system: the kernel unpacks one archive after the other."""
    names = subprocess.run(["find", ".", "-mindepth", "1", "-print0"], cwd=tree, capture_output=True, check=True).stdout
    command = ["cpio", "--create", "--null", "--format=newc", "--quiet"]
    subprocess.run(command, cwd=tree, input=names, stdout=archive, check=True)


def run(image, archive, options):
    """Runs the machine and prints what is meant for us; returns whether the last of it is that all is well."""
    command = [
        "timeout", "--foreground", str(options.timeout), "nice", "--adjustment=5", *QEMU, "-m", options.memory,
        "-kernel", image, "-initrd", archive, "-append", KERNEL_OPTIONS,
    ]  # fmt: skip
    said = ""
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace") as machine:
        for line in machine.stdout:
            if MARK in line or options.verbose:
                said = line.rpartition(MARK)[2].rstrip()
                print(said, flush=True)
    if machine.returncode == 124:
        print(f"the machine was ended after {options.timeout} s", file=sys.stderr)
    return said == "passed"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", choices=SUITES, default="trixie", nargs="?")
    parser.add_argument("--clients", type=int, default=200_000)
    parser.add_argument("--ping-interval", default="1d", help="of the service; short ones keep an emulated CPU busy")
    parser.add_argument("--memory", default="6G", help="of the machine")
    parser.add_argument("--timeout", type=int, default=3600, help="in seconds, after which the machine is ended")
    parser.add_argument("--verbose", action="store_true", help="everything that is written to the machine's console")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        tree, archive = Path(directory) / "tree", Path(directory) / "initrd"
        install(tree, options)
        with open(archive, "wb") as file:
            for each in (rootfs(options.suite), tree):
                pack(each, file)
        return 0 if run(kernel(options.suite), archive, options) else 1


if __name__ == "__main__":
    sys.exit(main())
