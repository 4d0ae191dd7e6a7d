"""The installed package with a certificate: its socket for TLS, and a renewal."""

from certificates import Certificate
from container import wait_for

from wsdaemon import REPOSITORY

CONFIGURATION = """
[[tls.certificates]]
certificate = "/etc/wsd/fullchain.pem"
key = "/etc/wsd/privkey.pem"
"""

HOOK = REPOSITORY / "packaging/examples/certbot-deploy-hook"


def install(administrator, certificate):
    """Puts a certificate where the service's group can read it, and others can't."""
    for path, name in ((certificate.certificate, "fullchain.pem"), (certificate.key, "privkey.pem")):
        administrator.machine.write(f"/etc/wsd/{name}", path.read_text(), 0o640)
        administrator.run("chgrp", "wsd", f"/etc/wsd/{name}")


def page(administrator):
    """What curl says of the page by https, with the certificate in force as its authority."""
    return administrator.run(
        "curl", "--silent", "--show-error", "--cacert", "/etc/wsd/fullchain.pem", "--write-out", "%{http_code}",
        "--output", "/dev/null", "https://localhost:8443/", status=None,
    )  # fmt: skip


def test_the_socket_for_tls_is_there_and_serves_once_it_is_enabled(administrator, tmp_path):
    assert administrator.run("systemctl", "is-enabled", "wsd-tls.socket", status=None).stdout.strip() == "disabled"
    certificate = Certificate(tmp_path, "localhost")
    install(administrator, certificate)
    administrator.machine.write("/etc/wsd/wsd.toml.d/tls.toml", CONFIGURATION)
    try:
        administrator.run("systemctl", "enable", "wsd-tls.socket")
        administrator.run("systemctl", "restart", "wsd.target")
        wait_for(lambda: page(administrator).stdout == "200", "the page by https")
        # It stays in its sandbox, and still serves without TLS.
        assert administrator.talk("hello") == "hello"
        # As certbot does it.
        certificate.write(["localhost", "renewed.example"])
        renewed = {"chat.example.org": certificate, "mail.example.org": Certificate(tmp_path, "mail", ["mail.example.org"])}
        for name, each in renewed.items():
            administrator.machine.write(f"/root/live/{name}/fullchain.pem", each.certificate.read_text())
            administrator.machine.write(f"/root/live/{name}/privkey.pem", each.key.read_text(), 0o600)
        administrator.machine.write("/root/hook", HOOK.read_text(), 0o755)
        for name in renewed:
            administrator.run("env", f"RENEWED_LINEAGE=/root/live/{name}", "/root/hook")
        assert page(administrator).stdout == "200"
        assert "renewed.example" in administrator.run("wsctl", "status").stdout
        # A key that belongs to another certificate is refused, and named.
        administrator.machine.write("/etc/wsd/privkey.pem", Certificate(tmp_path, "other").key.read_text(), 0o640)
        administrator.run("chgrp", "wsd", "/etc/wsd/privkey.pem")
        administrator.run("systemctl", "reload", "wsd", status=1)
        assert page(administrator).stdout == "200"
    finally:
        administrator.run("systemctl", "disable", "--now", "wsd-tls.socket", status=None)
        administrator.run("rm", "-f", "/etc/wsd/wsd.toml.d/tls.toml")
        administrator.run("systemctl", "restart", "wsd.target", status=None)
