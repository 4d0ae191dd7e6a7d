"""wss with more of the TLS that is in use: OpenSSL 3.5 on both sides, NSS, Node and Java; others are in test_tls_judges.py."""

import os
import shutil

import pytest

from container.rootfs import rootfs
from rawws import frame
from securedaemon import SecureDaemon
from test_tls_judges import REQUEST, authority, judged, run  # noqa: F401
from certificates import Certificate
from wsdaemon import clean_environment

NODE = """
const [port, authority] = process.argv.slice(2);
const https = require('https');
const options = {
    host: 'localhost', port, path: '/ws', ca: require('fs').readFileSync(authority), family: 4,
    headers: {
        Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': 13,
        'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    },
};
https.get(options).on('upgrade', (response, socket, head) => {
    const sent = Buffer.from(process.argv[4], 'hex');
    const wanted = Buffer.from(process.argv[5], 'hex');
    let got = head;
    const look = () => {
        if (got.length < wanted.length) return;
        console.log(socket.getProtocol(), socket.isSessionReused(), got.equals(wanted));
        process.exit();
    };
    socket.on('data', (data) => { got = Buffer.concat([got, data]); look(); });
    socket.write(sent);
    look();
});
"""

JAVA = """
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.nio.file.*;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.concurrent.*;
import javax.net.ssl.*;

class Client {
    public static void main(String[] arguments) throws Exception {
        var store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null);
        try (var file = Files.newInputStream(Path.of(arguments[1]))) {
            store.setCertificateEntry("authority", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        var context = SSLContext.getInstance(arguments[2]);
        context.init(null, trust.getTrustManagers(), null);
        var parameters = new SSLParameters();
        parameters.setProtocols(new String[] {arguments[2]});
        var client = HttpClient.newBuilder().sslContext(context).sslParameters(parameters).build();
        var count = 1000;
        var heard = new CountDownLatch(count);
        var listener = new WebSocket.Listener() {
            final StringBuilder text = new StringBuilder();
            int next;
            public CompletionStage<?> onText(WebSocket socket, CharSequence data, boolean isLast) {
                text.append(data);
                if (isLast) {
                    if (text.toString().startsWith(next + " ") && text.length() > 100) { heard.countDown(); }
                    next++;
                    text.setLength(0);
                }
                socket.request(1);
                return null;
            }
        };
        var socket = client.newWebSocketBuilder().buildAsync(URI.create(arguments[0]), listener).get();
        for (var number = 0; number < count; number++) { socket.sendText(number + " " + "x".repeat(100), true).get(); }
        var isAll = heard.await(60, TimeUnit.SECONDS);
        socket.sendClose(1000, "").get();
        System.out.println(isAll);
        System.exit(0);
    }
}
"""


# OpenSSL 3.5, which the next release of Debian has.


def with_libraries(*programs):
    """A program of the newest release, run by its own loader with its own libraries."""
    tree = rootfs("trixie")
    libraries = tree / "usr/lib/x86_64-linux-gnu"
    return [str(libraries / "ld-linux-x86-64.so.2"), "--library-path", str(libraries), *map(str, programs)]


def newer_openssl():
    return with_libraries(rootfs("trixie") / "usr/bin/openssl")


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="the release's root file system is made by root")


def s_client(program, daemon, authority, *options):  # noqa: F811
    done = run(
        *program, "s_client", "-connect", f"127.0.0.1:{daemon.tls_port}", "-servername", "localhost",
        "-CAfile", authority.certificate, "-verify_return_error", "-ign_eof", *options, input=REQUEST,
    )  # fmt: skip
    assert b"HTTP/1.1 404" in done.stdout, done.stdout + done.stderr
    return done.stdout.decode()


@needs_root
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_newer_openssl(judged, authority, version):  # noqa: F811
    assert "3.5" in run(*newer_openssl(), "version").stdout.decode()
    assert "Verify return code: 0" in s_client(newer_openssl(), judged, authority, version)


@pytest.fixture
def newer(tmp_path, wsd_directory, authority):  # noqa: F811
    """A daemon with the newer OpenSSL."""
    certificate = Certificate(tmp_path, "ec", authority=authority, days=90)
    daemon = SecureDaemon(wsd_directory / "newer", {"tls": {"certificates": [certificate.setting]}}, prefix=with_libraries())
    yield daemon
    daemon.connect().expect_echo("x" * 100_000)
    daemon.finish()


@needs_root
def test_a_newer_openssl_agrees_with_itself_on_a_key_for_after_quantum_computers(newer, authority):  # noqa: F811
    said = s_client(newer_openssl(), newer, authority)
    assert "group: X25519MLKEM768" in said, said


@needs_root
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_newer_openssl_and_the_older_one(newer, authority, version):  # noqa: F811
    assert "X25519" in s_client(["openssl"], newer, authority, version)


# Others.


@pytest.mark.parametrize("version", ["tls1.2", "tls1.3"])
def test_nss(judged, authority, tmp_path, version):  # noqa: F811
    database = f"sql:{tmp_path}"
    for arguments in (
        ["certutil", "-N", "-d", database, "--empty-password"],
        ["certutil", "-A", "-d", database, "-n", "authority", "-t", "C,,", "-i", authority.certificate],
    ):
        done = run(*arguments)
        assert done.returncode == 0, done.stderr
    done = run(
        "tstclnt", "-4", "-h", "localhost", "-p", judged.tls_port, "-d", database, "-V", f"{version}:{version}", "-b",
        "-A", write(tmp_path / "request", REQUEST),
    )  # fmt: skip
    assert b"HTTP/1.1 404" in done.stdout, done.stdout + done.stderr


def write(path, data):
    path.write_bytes(data)
    return path


def test_node(judged, authority, tmp_path):  # noqa: F811
    program = write(tmp_path / "client.js", NODE.encode())
    text = b"hello from node"
    done = run(
        "node", program, judged.tls_port, authority.certificate, frame(1, text).hex(), frame(1, text, masked=False).hex(),
    )  # fmt: skip
    assert done.stdout == b"TLSv1.3 false true\n", done.stdout + done.stderr


@pytest.mark.skipif(not shutil.which("javac"), reason="a JDK takes 260 MB, so it is not installed for this test alone")
@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_java(judged, authority, tmp_path, version):  # noqa: F811
    program = write(tmp_path / "Client.java", JAVA.encode())
    done = run(
        "java", program, f"wss://localhost:{judged.tls_port}/ws", authority.certificate, version,
        env=clean_environment(HOME=str(tmp_path)),
    )  # fmt: skip
    assert done.stdout == b"true\n", done.stdout + done.stderr
