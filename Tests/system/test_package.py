"""The Debian package: what is in it."""

import json
import os
import re
import subprocess

import debpackage
import pytest
from container import SOCKETS
from debpackage import run

from wsdaemon import REPOSITORY


@pytest.fixture(scope="session")
def tree(packages, tmp_path_factory):
    """The files that the package installs."""
    directory = tmp_path_factory.mktemp("tree")
    run("dpkg-deb", "--extract", packages[0], directory)
    return directory


def plugins(packages):
    """The packages of plugins that were built, by the plugins' names."""
    found = {path.name.partition("_")[0]: path for path in packages[0].parent.glob("wsd-*_*.deb")}
    return {name.removeprefix("wsd-"): path for name, path in found.items() if "dbgsym" not in name}


def test_lintian_finds_nothing(packages):
    strict = ("--pedantic", "--display-experimental", "--display-info", "--allow-root")
    found = run("lintian", *strict, *packages, *plugins(packages).values())
    assert [line for line in found.splitlines() if line[:1] in "EWIPX" and line[1:2] == ":"] == []


def test_what_is_in_it(tree):
    files = {str(path.relative_to(tree)) for path in tree.rglob("*") if not path.is_dir()}
    expected = {f"usr/bin/{name}" for name in ("wsd", "wsctl", "wsbench")}
    expected |= {f"lib/systemd/system/{unit}" for unit in (*SOCKETS, "wsd.service", "wsd.target")}
    expected |= {"usr/lib/sysusers.d/wsd.conf", "usr/lib/tmpfiles.d/wsd.conf"}
    expected |= {"etc/wsd/wsd.toml", "etc/apparmor.d/wsd", "etc/ufw/applications.d/wsd", "etc/logcheck/ignore.d.server/wsd"}
    for name in ("wsd", "wsctl", "wsbench"):
        expected.add(f"usr/share/bash-completion/completions/{name}")
        expected.add(f"usr/share/zsh/vendor-completions/_{name}")
        expected.add(f"usr/share/fish/vendor_completions.d/{name}.fish")
    for page in (REPOSITORY / "man").iterdir():
        expected.add(f"usr/share/man/man{page.suffix[1:]}/{page.name}.gz")
    expected |= {f"usr/share/doc/wsd/{name}" for name in ("README.Debian", "README.md.gz", "SECURITY.md")}
    examples = {path.name for path in tree.glob("usr/share/doc/wsd/examples/**/*")}
    assert {"self-bind.conf", "credentials.conf", "nginx.conf", "haproxy.cfg", "Caddyfile"} <= examples
    assert {"loopback.conf", "restart-backoff.conf", "io-uring.conf", "broker.conf", "publish-to-nats.py", "publish-to-redis.py"} <= examples
    assert {"wsd.rules.yml", "prometheus.yml", "50-site.toml.example"} <= examples
    assert expected <= files, expected - files
    copyright = (tree / "usr/share/doc/wsd/copyright").read_text()
    resolved = json.loads((REPOSITORY / "Package.resolved").read_text())
    notices = {path.name for path in (tree / "usr/share/doc/wsd/NOTICE.d").iterdir()}
    for pin in resolved["pins"]:
        name = pin["location"].removesuffix(".git").split("/")[-1]
        assert name in copyright, f"{name} is not named"
        if list((REPOSITORY / ".build/checkouts" / name).glob("NOTICE*")):
            assert {f"{name}.txt", f"{name}.txt.gz"} & notices, f"what {name} asks to be passed on is not in it"


def test_plugins_have_packages_of_their_own(packages, tmp_path):
    assert "wsd-plugin-abi-1" in run("dpkg-deb", "--field", packages[0], "Provides")
    found = plugins(packages)
    assert set(found) == {path.name for path in (REPOSITORY / "Sources/Plugins").iterdir()} - {"common"}
    for name, package in found.items():
        depends = run("dpkg-deb", "--field", package, "Depends")
        library = {"kafka": "librdkafka1", "rabbitmq": "librabbitmq4"}[name]
        assert "wsd-plugin-abi-1" in depends and library in depends
        run("dpkg-deb", "--extract", package, tmp_path / name)
        [program] = (tmp_path / name / "usr/lib").rglob("*.so")
        assert program == tmp_path / name / f"usr/lib/wsd/{name}.so"
        assert program.stat().st_size < 128 << 10
        exported = run("nm", "--dynamic", "--defined-only", program).split()
        assert exported[2::3] == ["wsd_plugin"]
        assert str(REPOSITORY).encode() not in program.read_bytes()


def test_the_manual_shows_the_example_as_it_is():
    example = (REPOSITORY / "packaging/examples/publish-to-redis.py").read_text().partition('"""\n')[2]
    manual = (REPOSITORY / "man/wsd-broker.7").read_text()
    assert f".Bd -literal\n{example}.Ed\n" in manual
    example = (REPOSITORY / "packaging/examples/publish-to-nats.py").read_text()
    function = "async def" + example.partition("async def")[2].partition("\n\n\nasyncio.run")[0]
    assert f".Bd -literal\n{function}\n.Ed\n" in manual


def test_whom_to_ask_is_said_and_that_nobody_is_there_yet(packages, tree):
    """Until the package is published with a real home page and address, it names none that could be somebody's."""
    homepage = run("dpkg-deb", "--field", packages[0], "Homepage").strip()
    assert re.fullmatch(r"https://[a-z.]+\.invalid/", homepage)
    security = (tree / "usr/share/doc/wsd/SECURITY.md").read_text()
    assert re.search(r"[a-z]+@[a-z.]+\.invalid", security) and "placeholder" in security


@pytest.mark.parametrize("name", ["wsd", "wsctl", "wsbench"])
def test_programs_are_hardened(tree, name):
    program = tree / "usr/bin" / name
    header = run("readelf", "--wide", "--file-header", "--program-headers", "--dynamic", program)
    assert re.search(r"Type: +DYN", header) and "GNU_RELRO" in header
    assert re.search(r"\(FLAGS(_1)?\).*\b(BIND_)?NOW\b", header)
    assert "(RUNPATH)" not in header and "(RPATH)" not in header
    assert ".symtab" not in run("readelf", "--wide", "--sections", program), "stripped"
    # In MiB: wsd has 33,554,432 bytes.
    assert program.stat().st_size < {"wsd": 32, "wsctl": 16, "wsbench": 16}[name] << 20


def test_nothing_names_the_machine_it_was_built_on(tree):
    for name in ("wsd", "wsctl", "wsbench"):
        assert str(REPOSITORY).encode() not in (tree / "usr/bin" / name).read_bytes()


def test_it_is_the_same_when_it_is_packed_again_by_somebody_else(packages, tmp_path):
    """Later, with another umask and in another time zone. The programs are built already: nothing is compiled again."""
    if "WSD_PACKAGE_DIR" in os.environ:
        pytest.skip("nobody knows how the packages in $WSD_PACKAGE_DIR were compressed")
    before = os.umask(0o077)
    try:
        again = debpackage.build(tmp_path, TZ="Pacific/Kiritimati", LC_ALL="C")
    finally:
        os.umask(before)
    for one, other in zip(packages, again):
        assert one.name == other.name and one.read_bytes() == other.read_bytes()


def test_the_apparmor_profile_is_read(tree):
    run("apparmor_parser", "--skip-kernel-load", "--skip-cache", tree / "etc/apparmor.d/wsd")


def test_logcheck_leaves_out_what_is_daily(tree):
    patterns = (tree / "etc/logcheck/ignore.d.server/wsd").read_text().splitlines()
    lines = {
        "2026-11-24T13:02:29.123456+00:00 host wsd[24128]: listening on [::]:8080": True,
        "Nov 24 13:02:29 host wsd[24128]: reloaded, no changes": True,
        "Nov 24 13:02:29 host wsd[24128]: restarted: 7 connections go on after 212 ms, 0 were closed": True,
        "Nov 24 13:02:29 host wsd[24128]: restarted: 7 connections go on after 212 ms, 3 were closed": False,
        "Nov 24 13:02:29 host wsd[24128]: access refused address=192.0.2.7 agent=- cause=host path=/": True,
        "Nov 24 13:02:29 host wsd[24128]: reloaded, no changes; only after a restart: server.workers": False,
        "Nov 24 13:02:29 host wsd[24128]: access lost count=7": False,
        "Nov 24 13:02:29 host wsd[24128]: 12 more lines of this kind were left out: refused: origin": True,
        "Nov 24 13:02:29 host wsd[24128]: node fra-1 (c57p984v4gam5) shares its channels through a broker": True,
        "Nov 24 13:02:29 host wsd[24128]: the broker works": True,
        "Nov 24 13:02:29 host wsd[24128]: the broker does not work: 10.0.0.5:6379 closed the connection": False,
        "Nov 24 13:02:29 host wsd[24128]: not reloaded; everything stays as it was": False,
        "Nov 24 13:02:29 host wsd[24128]: accepting connections fails, trying again": False,
    }
    for line, is_daily in lines.items():
        matched = subprocess.run(["grep", "-qE", *[f"-e{each}" for each in patterns]], input=line, text=True)
        assert (matched.returncode == 0) == is_daily, line
