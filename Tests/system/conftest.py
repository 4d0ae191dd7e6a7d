"""Fixtures for all system tests: daemons that are started, watched and stopped."""

import fcntl
import itertools
import os
import re
import resource
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

import debpackage
import seeded
from browser import Browser
from container import SUITES, Installation, Machine
from fakeclock import Clock
from nodes import Nodes
from redisserver import RedisServer
from traffic import Traffic
from wsdaemon import Daemon

# Rooms of the daemon that frame tests share: a path and a channel for each test, so that nothing that one test
# says reaches another.
ROOMS = 1000
room_numbers = itertools.count()
prefix_numbers = itertools.count(1)


def pytest_sessionstart():
    # The tests hold both ends of a thousand connections, and the daemon inherits the limit.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


# Files whose tests measure, or load the machine so that no test beside them should.
MEASURING = ("test_attack_", "test_crowd", "test_footprint", "test_hostile_pings", "test_nodes_soak", "test_restart_memory", "test_storm", "test_wsbench")


def pytest_itemcollected(item):
    """`-m measuring` are the tests that run one after the other, `-m "not measuring"` those that run beside each other."""
    if item.path.name.startswith(MEASURING):
        item.add_marker("measuring")


class ByMachine(LoadScopeScheduling):
    """Gives the tests that share a booted machine to one process, and each of the others to whichever is free first.

    pytest-xdist does so by `--dist loadgroup`, but not with pytest 9.2, whose node ids can't be set.
    """

    def _split_scope(self, nodeid):
        machine = re.match(r"test_(package|systemd)(?!_life).*\[(bookworm|trixie)\b", nodeid)
        return "-".join(machine.groups()) if machine else nodeid


def pytest_collection_modifyitems(config, items):
    """Of each test in a module with `CASES`, only so many cases, evenly spread, unless $WSD_EVERY_CASE is set."""
    cases = {}
    for item in items:
        if getattr(item.module, "CASES", None) and not os.environ.get("WSD_EVERY_CASE"):
            cases.setdefault((item.module, item.originalname), []).append(item)
    left_out = set()
    for (module, _), all_of_it in cases.items():
        step = max(1, len(all_of_it) / module.CASES)
        left_out |= set(all_of_it) - {all_of_it[int(number * step)] for number in range(min(module.CASES, len(all_of_it)))}
    if left_out:
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = [item for item in items if item not in left_out]


def pytest_xdist_make_scheduler(config, log):
    return ByMachine(config, log)


def pytest_report_header():
    return f"seed: WSD_TEST_SEED={seeded.SEED}"


@pytest.fixture(autouse=True)
def seed(request):
    """What is random in a test is so by the seed and by the test's name, so that it can be had again."""
    print(f"seed: WSD_TEST_SEED={seeded.SEED}")
    seeded.begin(f"{request.node.path.name} {request.node.name}")


@pytest.fixture
def wsd_directory():
    """A new directory with a short name: a socket's path has 107 bytes at most (unix(7))."""
    with tempfile.TemporaryDirectory(prefix="wsd-") as path:
        yield Path(path)


@pytest.fixture
def daemon_class():
    """What `start_wsd` starts."""
    return Daemon


@pytest.fixture
def start_wsd(wsd_directory, daemon_class):
    """Starts a daemon: start_wsd(config_toml="", workers=2, args=(), env=None, prefix=()).

    The configuration is laid over the tests' own; `@PORT@` in it stands for the port chosen.
    """
    started = []

    def start(config="", **options):
        directory = wsd_directory / str(len(started))
        directory.mkdir()
        daemon = daemon_class(directory, config or "", **options)
        started.append(daemon)
        return daemon

    yield start
    failures = [failure for daemon in started if (failure := finish(daemon))]
    if failures:
        pytest.fail("\n".join(failures), pytrace=False)


@pytest.fixture
def daemon(start_wsd):
    """A daemon with the built-in endpoints and two workers."""
    return start_wsd()


@pytest.fixture
def clock(wsd_directory):
    """A clock that a test sets forward, for a daemon that is started with `env=clock.environment`."""
    return Clock(wsd_directory)


@pytest.fixture(scope="session")
def shared_daemons():
    """The daemon that the handshake and frame tests share, replaced when a test ended it."""
    running = []
    yield running
    for daemon in running:
        failure = finish(daemon)
        shutil.rmtree(daemon.directory)
        if failure:
            pytest.fail(failure, pytrace=False)


@pytest.fixture
def room(shared_daemons):
    """A path with a channel of its own on a shared daemon with default limits, and the means to connect to it."""
    if not shared_daemons:
        shared_daemons.append(start_shared())
    daemon = shared_daemons[0]
    yield Room(daemon, f"/room/{next(room_numbers) % ROOMS}")
    daemon.close_clients()
    if not daemon.is_alive():
        shared_daemons.clear()
        print(f"--- log of wsd\n{daemon.log()}")
        pytest.fail(f"the daemon ended with {daemon.wait()}", pytrace=False)


class Room:
    """One endpoint of the shared daemon."""

    def __init__(self, daemon, path):
        self.daemon = daemon
        self.port = daemon.port
        self.path = path

    def connect(self, **options):
        return self.daemon.connect(self.path, **options)


def start_shared():
    endpoints = [
        {"path": "/ws", "protocol": "relay", "channel": "lobby"},
        {"path": "/chat", "protocol": "json", "channel": "lobby"},
    ]
    endpoints += [
        {"path": f"/room/{number}", "protocol": "relay", "channel": f"room-{number}"} for number in range(ROOMS)
    ]
    return Daemon(tempfile.mkdtemp(prefix="wsd-"), {"endpoint": endpoints})


def finish(daemon):
    """Stops a daemon and prints its log, which pytest shows for a failed test; what was wrong, or None."""
    try:
        daemon.finish()
        return None
    except AssertionError as error:
        return f"port {daemon.port}: {error}"
    finally:
        print(f"--- log of wsd (port {daemon.port}, exit code {daemon.process.returncode})\n{daemon.log()}")


@pytest.fixture(scope="session")
def shared_redis():
    """The Redis of the tests that neither configure nor break it. Each of them has a prefix of its own."""
    with tempfile.TemporaryDirectory(prefix="wsd-redis-") as directory:
        server = RedisServer(directory)
        yield server
        server.finish()


@pytest.fixture
def start_redis(wsd_directory):
    """Starts a Redis of a test's own: start_redis(**options), as `RedisServer` has them."""
    started = []

    def start(**options):
        directory = wsd_directory / f"redis-{len(started)}"
        directory.mkdir()
        started.append(RedisServer(directory, **options))
        return started[-1]

    yield start
    for server in started:
        server.finish()
        print(f"--- log of redis-server (port {server.port})\n{server.log()}")


@pytest.fixture
def nodes(shared_redis, wsd_directory):
    """Starts daemons that share their channels: nodes.start(...); their prefix at the shared Redis is their own."""
    yield from run_nodes(Nodes(wsd_directory, shared_redis.url(), f"t{next(prefix_numbers)}"))


@pytest.fixture
def redis_server(start_redis):
    """A Redis of the test's own, for it to break, that keeps its data over a restart."""
    return start_redis(is_durable=True)


@pytest.fixture
def own_nodes(redis_server, wsd_directory):
    """As `nodes`, at a Redis of the test's own."""
    yield from run_nodes(Nodes(wsd_directory, redis_server.url()))


@pytest.fixture
def talk():
    """Begins traffic that ends with the test in any case: talk(nodes, **options), as `Traffic` has them."""
    begun = []

    def talk(nodes, **options):
        begun.append(Traffic(nodes, **options))
        begun[-1].wait_for_more()
        return begun[-1]

    yield talk
    for traffic in begun:
        traffic.end()


def run_nodes(nodes):
    yield nodes
    if failures := nodes.finish():
        pytest.fail("\n".join(failures), pytrace=False)


@pytest.fixture
def browser(start_wsd):
    """A browser in which no page may complain on its console; with `outage` set, but for the connection that failed.

    It needs no daemon, but ends before one does: a page would rightly complain about that.
    """
    browser = Browser()
    try:
        yield browser
        assert browser.complaints() == []
    finally:
        browser.quit()


@pytest.fixture
def restartable(start_wsd, browser):
    """A daemon that a test stops and starts again at the same port."""
    browser.outage = True
    return Restartable(start_wsd)


class Restartable:
    def __init__(self, start_wsd):
        self._start = start_wsd
        self._daemon = start_wsd()
        self.port = self._daemon.port

    def http(self, path):
        return f"http://127.0.0.1:{self.port}{path}"

    def stop(self, by=signal.SIGTERM):
        self._daemon.stop(by)

    def start(self):
        self._daemon = self._start(f'[server]\nlisten = ["127.0.0.1:{self.port}"]')


@pytest.fixture(scope="session")
def packages(tmp_path_factory, worker_id):
    """The Debian package and that of its debug symbols; those in $WSD_PACKAGE_DIR if it is set."""
    if "WSD_PACKAGE_DIR" in os.environ:
        return debpackage.found(Path(os.environ["WSD_PACKAGE_DIR"]))
    if worker_id == "master":
        return debpackage.build(tmp_path_factory.mktemp("dist"))
    # Of several processes, one builds them for all.
    shared = tmp_path_factory.getbasetemp().parent
    with open(shared / "dist.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (shared / "dist").exists():
            return debpackage.found(shared / "dist")
        packages = debpackage.build(tmp_path_factory.mktemp("dist"))
        packages[0].parent.rename(shared / "dist")
        return debpackage.found(shared / "dist")


@pytest.fixture(params=SUITES)
def newcomer(request):
    """An administrator of a machine that only this test changes, without the package."""
    with Machine(request.param) as machine:
        yield debpackage.Administrator(machine)


@pytest.fixture(scope="session", params=SUITES)
def installation(request):
    """wsd without its package in a booted machine, which the tests of one release share."""
    with Machine(request.param) as machine:
        yield Installation(machine)


@pytest.fixture
def wsd(installation):
    """wsd not running, its sockets listening, its configuration the default."""
    installation.reset()
    return installation


@pytest.fixture(scope="session", params=SUITES)
def installed(request, packages):
    """The package in a booted machine, which the tests of one release share."""
    with Machine(request.param) as machine:
        administrator = debpackage.Administrator(machine)
        administrator.install(packages[0])
        administrator.run("systemd-sysusers", "--inline", "u bob -")
        yield administrator


@pytest.fixture
def administrator(installed):
    """As after the installation: everything listens, nothing runs, nothing is configured."""
    installed.reset()
    return installed
