"""Certificates whose chain is damaged, out of order or not complete: what administrators are told, and where."""

import json

import pytest

from certificates import Certificate
from securedaemon import SecureDaemon
from wsdaemon import run_wsd, toml

MISSING = "its chain is not complete"


class Chain:
    """A root, an authority below it, and a server's certificate, with a configuration that has it."""

    def __init__(self, directory):
        self.root = Certificate(directory, "root", ["root of the tests"])
        self.middle = Certificate(directory, "middle", ["middle of the tests"], authority=self.root, signs=True)
        self.server = Certificate(directory, "server", ["localhost"], authority=self.middle)
        self.leaf = self.server.certificate.read_text()
        self.path = directory / "check.toml"
        self.path.write_text(toml({"tls": {"certificates": [self.server.setting]}}))

    def serve(self, *parts):
        """Puts these in the file of the server's certificate."""
        texts = [part if isinstance(part, str) else part.certificate.read_text() for part in parts]
        self.server.certificate.write_text("".join(texts))

    def check(self, **environment):
        return run_wsd("--config", self.path, "--check-config", **environment)


@pytest.fixture
def chain(tmp_path):
    return Chain(tmp_path)


def test_a_chain_to_its_root_says_nothing(chain):
    chain.serve(chain.leaf, chain.middle, chain.root)
    done = chain.check()
    assert done.returncode == 0 and MISSING not in done.stderr + done.stdout


def test_a_certificate_of_its_own_says_nothing(chain):
    chain.server = chain.root
    chain.path.write_text(toml({"tls": {"certificates": [chain.root.setting]}}))
    done = chain.check()
    assert done.returncode == 0 and MISSING not in done.stderr + done.stdout


def test_a_chain_to_an_authority_that_the_machine_knows_says_nothing(chain):
    chain.serve(chain.leaf, chain.middle)
    done = chain.check(SSL_CERT_FILE=str(chain.root.certificate))
    assert done.returncode == 0 and MISSING not in done.stderr + done.stdout


@pytest.mark.parametrize("parts", [["leaf"], ["leaf", "middle"]])
def test_a_chain_that_ends_early_is_a_notice(chain, parts):
    chain.serve(*[getattr(chain, part) for part in parts])
    known = {"SSL_CERT_FILE": str(Certificate(chain.path.parent, "other").certificate)}
    done = chain.check(**known)
    issuer = "root" if "middle" in parts else "middle"
    assert done.returncode == 0, done.stderr
    assert MISSING in done.stderr and f"signed by CN={issuer} of the tests" in done.stderr


def test_an_authority_that_has_expired_is_a_notice(chain, tmp_path):
    old = Certificate(tmp_path, "old", ["old"], authority=chain.root, signs=True, days=-1, since=-10)
    chain.server.authority = old
    chain.server.write()
    chain.leaf = chain.server.certificate.read_text()
    chain.serve(chain.leaf, old, chain.root)
    done = chain.check(SSL_CERT_FILE=str(chain.root.certificate))
    assert done.returncode == 0 and "certificate 2 of its chain: certificate has expired" in done.stderr, done.stderr


def test_a_chain_out_of_order_is_a_mistake(chain):
    chain.serve(chain.leaf, chain.root, chain.middle)
    done = chain.check()
    assert done.returncode == 78
    assert "certificate 2 in it, CN=root of the tests, is not that of the issuer of certificate 1" in done.stderr


def test_a_damaged_certificate_is_named(chain):
    damaged = chain.middle.certificate.read_text().replace("MII", "M?I", 1)
    chain.serve(chain.leaf, damaged, chain.root)
    done = chain.check()
    assert done.returncode == 78
    assert f'"{chain.server.certificate}": certificate 2 in it can\'t be read' in done.stderr


def test_a_reload_says_so_and_refuses_what_is_damaged(wsd_directory, chain):
    chain.serve(chain.leaf, chain.middle, chain.root)
    daemon = SecureDaemon(wsd_directory, {"tls": {"certificates": [chain.server.setting]}})
    try:
        notices = lambda: json.loads(daemon.wsctl("status", "--json").stdout).get("notices", [])
        assert notices() == []
        chain.serve(chain.leaf)
        done = daemon.wsctl("reload")
        assert done.returncode == 0 and f"notice: the certificate for localhost: {MISSING}" in done.stdout
        assert [MISSING in notice for notice in notices()] == [True]
        assert MISSING in daemon.log()
        chain.serve(chain.leaf, chain.middle.certificate.read_text()[:300])
        done = daemon.wsctl("reload")
        assert done.returncode == 78 and "certificate 2 in it can't be read" in done.stderr, done.stderr
        chain.serve(chain.leaf, chain.middle, chain.root)
        done = daemon.wsctl("reload")
        assert done.returncode == 0 and "notice" not in done.stdout and notices() == []
    finally:
        daemon.finish()
