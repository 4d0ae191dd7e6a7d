"""Tokens: made by PyJWT, checked by the daemon."""

import base64
import datetime
import hmac
import http.client
import http.server
import json
import math
import signal
import ssl
import threading
import time
from pathlib import Path

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from jsonclient import JSONClient
from ports import free_port
from waiting import DEADLINE, wait_until
from wsdaemon import run_wsd, toml

SECRET = b"0123456789abcdef" * 4
KEYS = {
    "rsa": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "p256": ec.generate_private_key(ec.SECP256R1()),
    "p384": ec.generate_private_key(ec.SECP384R1()),
    "p521": ec.generate_private_key(ec.SECP521R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate(),
}
ALGORITHMS = {
    **{f"{family}{bits}": "rsa" for family in ("RS", "PS") for bits in (256, 384, 512)},
    **{"ES256": "p256", "ES384": "p384", "ES512": "p521", "EdDSA": "ed25519"},
}
ROOMS = {
    "room:*": {"subscribe": "granted", "publish": "granted"},
    "members": {"subscribe": "users", "publish": "users"},
    "closed": {"subscribe": "nobody", "publish": "nobody"},
}


def pem(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def token(algorithm="HS256", key=None, headers=None, **claims):
    signer = SECRET if algorithm.startswith("HS") else KEYS[ALGORITHMS[algorithm]]
    claims = {"sub": "alice", **claims}
    return jwt.encode(claims, key or signer, algorithm=algorithm, headers=headers)


def bearer(text):
    return {"additional_headers": {"Authorization": f"Bearer {text}"}}


def enter(connect, seconds=2, **claims):
    """A connection by a token that ends soon; by one that ends later where the way in took longer than it was good."""
    while True:
        try:
            return connect(token(exp=int(time.time()) + seconds, **claims))
        except InvalidStatus as refused:
            assert refused.response.status_code == 401 and seconds < DEADLINE
            seconds *= 2


@pytest.fixture
def key_files(wsd_directory):
    """All keys as files, the secret for nobody else's eyes."""
    secret = wsd_directory / "secret"
    secret.write_bytes(SECRET + b"\n")
    secret.chmod(0o600)
    paths = {"secret": str(secret)}
    for name, key in KEYS.items():
        path = wsd_directory / f"{name}.pem"
        path.write_bytes(pem(key))
        paths[name] = str(path)
    return paths


@pytest.fixture
def start_jwt(start_wsd, key_files):
    def start(api=None, env=None, **auth):
        keys = {"hmac_secret_file": key_files["secret"], "public_key_files": [key_files[name] for name in KEYS]}
        auth = {"mode": "jwt", "leeway": "0s", **(keys if not auth.pop("alone", False) else {}), **auth}
        config = {"auth": auth, "channels": ROOMS, "websocket": {"close_timeout": "2s"}, **({"api": api} if api else {})}
        return start_wsd(toml(config), env=env)

    return start


@pytest.fixture
def hub(start_jwt):
    return start_jwt(cookie="session")


def request(hub, path="/chat", token=None, **fields):
    """The answer to a handshake: status, challenge or when to come again, body."""
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(b"0" * 16).decode(),
        **fields,
    }
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    connection = http.client.HTTPConnection(hub.host, hub.port, timeout=DEADLINE)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers["WWW-Authenticate"] or answer.headers["Retry-After"] or "", answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512", *ALGORITHMS])
def test_every_algorithm_of_pyjwt(hub, algorithm):
    with JSONClient(hub.port, **bearer(token(algorithm))) as client:
        assert client.user == "alice"
        assert [row["user"] for row in hub.connections()] == ["alice"]
    # The same by a key of the same kind that is nobody's.
    others = {
        "rsa": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
        "ed25519": ed25519.Ed25519PrivateKey.generate,
    }
    stranger = b"x" * 64 if algorithm.startswith("HS") else others[ALGORITHMS[algorithm]]()
    status, challenge, body = request(hub, token=token(algorithm, key=stranger))
    assert (status, "signature" in challenge, "signature" in body) == (401, True, True)


def test_the_three_places_of_a_token(hub):
    text = token(sub="bob")
    for options in (
        bearer(text),
        {"path": f"/chat?token={text}"},
        {"additional_headers": {"Cookie": f"theme=dark; session={text}"}},
        {"additional_headers": {"Authorization": f"Bearer {text}", "Cookie": "session=none"}},
    ):
        with JSONClient(hub.port, **options) as client:
            assert client.user == "bob"
    with hub.connect(f"/ws?token={text}"):
        assert [row["user"] for row in hub.connections()] == ["bob"]


def test_refusals_help_and_hide_the_token(hub):
    now = int(time.time())
    good = token()
    header, claims, signature = good.split(".")
    swapped = ("B" if signature[0] == "A" else "A") + signature[1:]
    unsigned = jwt.encode({"sub": "alice"}, None, algorithm="none")
    # A public key taken for a secret, which is what "alg" confusion is.
    confused_parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in ({"alg": "HS256", "typ": "JWT"}, {"sub": "alice"})
    ]
    mac = hmac.digest(pem(KEYS["rsa"]), ".".join(confused_parts).encode(), "sha256")
    confused = ".".join([*confused_parts, base64.urlsafe_b64encode(mac).rstrip(b"=").decode()])
    cases = {
        "three parts": "not-a-token",
        "base64url": f"{header}.{claims}.{signature}=",
        "signature": f"{header}.{claims}.{swapped}",
        '"none"': unsigned,
        "the token's signature": confused,
        "expired": token(exp=now - 100),
        "only in": token(nbf=now + 100),
        "claim sub": token(sub=""),
        "guest-": token(sub="guest-7"),
        "channels": token(channels="room:*"),
        "crit": token(headers={"crit": ["exp"]}),
    }
    for expected, text in cases.items():
        status, challenge, body = request(hub, token=text)
        assert status == 401, expected
        assert challenge.startswith('Bearer realm="wsd", error="invalid_token", error_description="'), challenge
        assert expected in body, body
    # Nobody showed one: RFC 6750 wants no error then.
    assert request(hub)[:2] == (401, 'Bearer realm="wsd"')
    assert request(hub, Authorization="Basic YTpi")[0] == 401
    assert "token" in request(hub)[2]
    log = hub.log()
    for text in (good, *cases.values()):
        assert text not in log
    assert json.loads(hub.wsctl("status", "--json").stdout)["refused"]["unauthorized"] == len(cases) + 3


def test_refusals_and_reloads_are_counted(start_jwt):
    port = free_port()
    hub = start_jwt(api={"listen": [f"127.0.0.1:{port}"]})
    for text in ("x", token(exp=1), token(exp=1), token("RS256", key=KEYS["rsa"]).rsplit(".", 1)[0] + ".AAAA"):
        assert request(hub, token=text)[0] == 401
    assert hub.wsctl("reload").returncode == 0
    text = http_get(port, "/metrics")
    for line in ('tokens_total{reason="malformed"} 1', 'tokens_total{reason="expired"} 2', 'reloads_total{result="ok"} 1',
                 'tokens_total{reason="signature"} 1', 'tokens_total{reason="issuer"} 0'):
        assert line in text


def http_get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE)
    connection.request("GET", path)
    return connection.getresponse().read().decode()


def test_issuer_and_audience(start_jwt):
    hub = start_jwt(issuer="https://login", audience="wsd")
    with JSONClient(hub.port, **bearer(token(iss="https://login", aud=["a", "wsd"]))):
        pass
    assert "issuer" in request(hub, token=token(iss="https://evil", aud="wsd"))[2]
    assert "audience" in request(hub, token=token(iss="https://login", aud="a"))[2]


def test_grants(hub):
    grants = {"room:1": ["subscribe", "publish"], "room:2": ["subscribe"], "closed": ["subscribe", "publish"]}
    with JSONClient(hub.port, **bearer(token(channels=grants))) as alice:
        alice.ok("join", channel="room:1")
        alice.ok("chat", channel="room:1", data=1)
        alice.ok("join", channel="room:2")
        assert alice.refused("chat", channel="room:2", data=1) == "not_permitted"
        assert alice.refused("join", channel="room:3") == "not_permitted"
        assert alice.refused("join", channel="closed") == "not_permitted"
        assert alice.refused("chat", channel="closed", data=1) == "not_permitted"
        alice.ok("join", channel="members")
        alice.ok("chat", channel="members", data=1)


def test_expiry_and_refresh(start_jwt):
    hub = start_jwt(refresh_grace="20s")
    grants = [{"pattern": "room:*", "subscribe": True, "publish": True}]
    with enter(lambda text: JSONClient(hub.port, **bearer(text)), channels=grants) as client:
        client.ok("join", channel="room:1")
        assert client.next("refresh")["grace"] == 20
        assert client.refused("refresh", token=token(sub="mallory")) == "bad_token"
        assert client.refused("refresh", token=token(exp=int(time.time()) - 1)) == "bad_token"
        later = int(time.time()) + 3600
        answer = client.ok("refresh", token=token(exp=later))
        assert answer["expires"] == time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(later))
        left = next(m for m in iter(client.next, None) if m.get("event") == "left")
        assert left["channel"] == "room:1"
        client.ok("ping")


def test_a_client_that_does_not_refresh_is_closed_with_3000(start_jwt):
    hub = start_jwt(refresh_grace="1s")
    client = enter(lambda text: JSONClient(hub.port, **bearer(text)))
    with enter(lambda text: connect(f"ws://127.0.0.1:{hub.port}/ws?token={text}", legacy=True)) as relay:
        with pytest.raises(ConnectionClosed) as closed:
            relay.recv(timeout=DEADLINE)
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (3000, "token expired")
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            client.receive()
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (3000, "token expired")
    assert json.loads(hub.wsctl("status", "--json").stdout)["closed"]["token_expired"] == 2


def test_no_token_is_good_beyond_the_longest_lifetime(start_jwt):
    hub = start_jwt(max_lifetime="1h")
    now = int(time.time())

    def expires(**claims):
        """When the connection has to have another token, as a refresh by the same one is answered."""
        with JSONClient(hub.port, **bearer(token(**claims))) as client:
            text = client.ok("refresh", token=token(**claims))["expires"]
            return datetime.datetime.fromisoformat(text).timestamp()

    assert expires(exp=now + 600) == now + 600
    # Cut to an hour from its iat, or from now.
    assert expires(exp=now + 86_400, iat=now - 1800) == now + 1800
    assert expires(iat=now - 1800) == now + 1800
    for claims in ({}, {"exp": now + 86_400}, {"iat": now + 86_400}, {"exp": now + 86_400, "iat": now + 86_400}):
        assert now + 3600 <= expires(**claims) <= time.time() + 3600
    status, challenge, body = request(hub, token=token(iat=now - 3700, exp=now + 600))
    assert status == 401 and "auth.max_lifetime" in body and "invalid_token" in challenge
    with JSONClient(hub.port, **bearer(token())) as client:
        assert client.refused("refresh", token=token(iat=now - 3700, exp=now + 600)) == "bad_token"


def test_a_token_without_an_end_is_good_for_the_longest_lifetime_of_its_connection(start_jwt):
    hub = start_jwt(max_lifetime="1s", refresh_grace="4s")
    client = JSONClient(hub.port, **bearer(token()))
    assert client.next("refresh")["grace"] == 4
    client.ok("refresh", token=token(exp=int(time.time()) + 3600))
    with connect(f"ws://127.0.0.1:{hub.port}/ws?token={token()}") as relay:
        with pytest.raises(ConnectionClosed) as closed:
            relay.recv(timeout=DEADLINE)
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (3000, "token expired")
    with pytest.raises(ConnectionClosed) as closed:
        while True:
            client.receive()
    assert closed.value.rcvd.code == 3000


def test_tokens_without_an_end_are_good_for_ever_only_where_that_is_asked_for(start_jwt):
    with JSONClient(start_jwt(max_lifetime="0s").port, **bearer(token())) as client:
        assert "expires" not in client.ok("refresh", token=token())
    with JSONClient(start_jwt().port, **bearer(token())) as client:
        end = datetime.datetime.fromisoformat(client.ok("refresh", token=token())["expires"]).timestamp()
        assert 86_000 < end - time.time() <= 86_400


def test_an_end_can_be_asked_for(start_jwt):
    hub = start_jwt(require_exp=True)
    status, challenge, body = request(hub, token=token(iat=int(time.time())))
    assert status == 401 and "auth.require_exp" in body and "invalid_token" in challenge
    with JSONClient(hub.port, **bearer(token(exp=int(time.time()) + 60))) as client:
        assert client.refused("refresh", token=token()) == "bad_token"


def test_wsctl_token(hub, start_jwt, key_files):
    made = hub.wsctl("token", "--user", "Zoë", "--expires", "10m", "--grant", "room:*=subscribe,publish")
    assert made.returncode == 0, made.stderr
    claims = jwt.decode(made.stdout.strip(), SECRET, algorithms=["HS256"])
    assert claims["sub"] == "Zoë" and claims["exp"] - claims["iat"] == 600
    with JSONClient(hub.port, **bearer(made.stdout.strip())) as client:
        assert client.user == "Zoë"
        client.ok("join", channel="room:9")
    assert made.stdout.strip() not in hub.log()
    for wrong in (["--expires", "soon"], ["--expires", "0s"], ["--grant", "room:*=read"], ["--grant", "room"]):
        refused = hub.wsctl("token", "--user", "a", *wrong)
        assert refused.returncode == 64 and wrong[1] in refused.stderr, refused.stderr

    other = start_jwt(alone=True, public_key_files=[key_files["p256"]])
    refused = other.wsctl("token", "--user", "alice")
    assert refused.returncode == 1 and "auth.hmac_secret_file" in refused.stderr


def test_keys_are_reloaded(hub, key_files):
    stranger = ec.generate_private_key(ec.SECP256R1())
    text = token("ES256", key=stranger)
    assert request(hub, token=text)[0] == 401
    with JSONClient(hub.port, **bearer(token("ES256"))) as client:
        with open(key_files["p256"], "wb") as file:
            file.write(pem(stranger))
        done = hub.wsctl("reload")
        assert done.returncode == 0, done.stderr
        with JSONClient(hub.port, **bearer(text)):
            pass
        assert request(hub, token=token("ES256"))[0] == 401
        client.ok("ping")  # who is in stays in

    # A key that can't be read: said, and nothing changes. The same by a signal.
    with open(key_files["p256"], "w") as file:
        file.write("nonsense")
    refused = hub.wsctl("reload")
    assert refused.returncode == 78 and "public_key_files" in refused.stderr and "PEM" in refused.stderr
    with JSONClient(hub.port, **bearer(text)):
        pass
    with open(key_files["p256"], "wb") as file:
        file.write(pem(KEYS["p256"]))
    hub.signal(signal.SIGHUP)
    wait_until(lambda: hub.log().count("reloaded, ") == 2, "the signal has been followed")
    assert "RELOADING=1" in hub.notified()
    with JSONClient(hub.port, **bearer(token("ES256"))):
        pass


def test_what_a_reload_changes(hub):
    text = hub.config_path.read_text()
    changed = text.replace('mode = "jwt"', 'mode = "jwt"\nissuer = "https://login"') + "\n[limits]\nchannels = 7\n"
    hub.config_path.write_text(changed)
    outcome = json.loads(hub.wsctl("reload", "--json").stdout)
    assert outcome == {"changed": ["limits.channels", "auth.issuer"], "needsRestart": []}
    assert "issuer" in request(hub, token=token())[2]
    # What needs a restart is named until there was one.
    hub.config_path.write_text(changed.replace("workers = 2", "workers = 1"))
    for _ in range(2):
        outcome = json.loads(hub.wsctl("reload", "--json").stdout)
        assert outcome == {"changed": [], "needsRestart": ["server.workers"]}
    hub.config_path.write_text(changed + "chanels = 8\n")
    refused = hub.wsctl("reload")
    assert refused.returncode == 78 and "chanels" in refused.stderr and str(hub.config_path) in refused.stderr


def test_wrong_keys_keep_the_daemon_from_starting(wsd_directory):
    secret = wsd_directory / "secret"
    secret.write_text("short\n")
    config = wsd_directory / "bad.toml"
    config.write_text(
        toml({"auth": {"mode": "jwt", "hmac_secret_file": str(secret), "public_key_files": ["/nonexistent.pem"]}})
    )
    for arguments in (["--check-config"], []):
        ended = run_wsd("--config", config, *arguments)
        assert ended.returncode == 78
        assert "32 or more" in ended.stderr and "/nonexistent.pem" in ended.stderr, ended.stderr
        assert "short" not in ended.stderr


class Issuer:
    """A login server: publishes the keys it has now, and counts who asks."""

    def __init__(self, certificate=None):
        self.keys = {}
        self.requests = 0
        self.body = None
        self.cache_control = None
        issuer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                issuer.requests += 1
                body = issuer.body or json.dumps({"keys": issuer.jwks()}).encode()
                self.send_response(200 if self.path == "/keys" else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                if issuer.cache_control:
                    self.send_header("Cache-Control", issuer.cache_control)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def jwks(self):
        return [
            {**json.loads(jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key())), "kid": kid, "use": "sig"}
            for kid, (algorithm, key) in self.keys.items()
        ]

    def close(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def issuer():
    issuer = Issuer()
    yield issuer
    issuer.close()


def test_a_key_set_of_every_kind_of_key(start_jwt, issuer):
    issuer.keys = {name: (name, KEYS[ALGORITHMS[name]]) for name in ALGORITHMS}
    hub = start_jwt(alone=True, jwks=f"http://127.0.0.1:{issuer.port}/keys")
    for algorithm in ALGORITHMS:
        with JSONClient(hub.port, **bearer(token(algorithm, headers={"kid": algorithm}))) as client:
            assert client.user == "alice"
        with JSONClient(hub.port, **bearer(token(algorithm))):
            pass
    assert issuer.requests == 1


# What the answer says, and for how many seconds it is good.
LIFETIMES = {
    None: 600,
    "no-cache": 600,
    "public, max-age=120, must-revalidate": 120,
    "max-age=1": 60,
    "max-age=86400": 3600,
}


@pytest.mark.parametrize("cache_control", LIFETIMES)
def test_a_key_set_is_fetched_again_when_it_is_old(start_jwt, issuer, clock, cache_control):
    """By tokens whose keys are known: who shows one does not wait for it."""
    issuer.cache_control = cache_control
    issuer.keys = {"a": ("ES256", KEYS["p256"])}
    hub = start_jwt(env=clock.environment, alone=True, jwks=f"http://127.0.0.1:{issuer.port}/keys")
    text = token("ES256", headers={"kid": "a"})
    assert lets_in(hub, text)
    assert issuer.requests == 1
    for count in (1, 2):
        clock.forward(LIFETIMES[cache_control] - 30)
        for _ in range(5):
            assert lets_in(hub, text)
        assert issuer.requests == count
        issuer.keys[str(count)] = issuer.keys["a"]
        clock.forward(31)
        assert lets_in(hub, text)
        hub.wait_for_log(f"fetched {count + 1} keys")
        # Who asks for keys now finds it done: it is from then on that these are good.
        assert lets_in(hub, text) and issuer.requests == count + 1


def test_key_rotation(start_jwt, issuer, clock):
    issuer.keys = {"old": ("ES256", KEYS["p256"])}
    began = time.monotonic()
    hub = start_jwt(env=clock.environment, alone=True, jwks=f"http://127.0.0.1:{issuer.port}/keys")
    with JSONClient(hub.port, **bearer(token("ES256", headers={"kid": "old"}))):
        pass
    fresh = ec.generate_private_key(ec.SECP256R1())
    issuer.keys = {"new": ("ES256", fresh)}
    text = token("ES256", key=fresh, headers={"kid": "new"})
    # Unknown keys bring one fetch at most in ten seconds, however many ask.
    for number in range(50):
        assert request(hub, token=token("ES256", headers={"kid": f"made-up-{number}"}))[0] == 401
    assert issuer.requests <= 1 + math.ceil((time.monotonic() - began) / 10)

    clock.forward(10)
    wait_until(lambda: lets_in(hub, text), "the new key is known")
    assert request(hub, token=token("ES256", headers={"kid": "old"}))[0] == 401


def lets_in(hub, text):
    try:
        with JSONClient(hub.port, **bearer(text)):
            return True
    except InvalidStatus:
        return False


def test_a_key_set_that_cannot_be_had(start_jwt, issuer, clock):
    issuer.body = b"<html>"
    hub = start_jwt(env=clock.environment, alone=True, jwks=f"http://127.0.0.1:{issuer.port}/keys")
    status, later, body = request(hub, token=token("ES256"))
    assert (status, "fetched" in body) == (503, True) and later.isdigit()
    wait_until(lambda: "no JSON Web Key Set" in hub.log(), "the log says what is wrong")
    issuer.body = None
    issuer.keys = {"a": ("ES256", KEYS["p256"])}
    clock.forward(10)
    assert hub.wsctl("reload").returncode == 0
    wait_until(lambda: lets_in(hub, token("ES256")), "the keys are there")


def test_a_key_set_by_https(start_wsd, wsd_directory):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_path, key_path = wsd_directory / "cert.pem", wsd_directory / "key.pem"
    certificate_path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    issuer = Issuer((certificate_path, key_path))
    try:
        issuer.keys = {"a": ("EdDSA", KEYS["ed25519"])}
        config = toml({"auth": {"mode": "jwt", "jwks": f"https://localhost:{issuer.port}/keys"}})
        hub = start_wsd(config, env={"SSL_CERT_FILE": str(certificate_path)})
        with JSONClient(hub.port, **bearer(token("EdDSA", headers={"kid": "a"}))):
            pass
        # Nobody vouches for the server: no keys.
        hub = start_wsd(config)
        assert request(hub, token=token("EdDSA"))[0] == 503
        wait_until(lambda: "certificate" in hub.log().lower(), "the log says why")
    finally:
        issuer.close()


def test_a_readable_secret_is_warned_about(start_wsd, key_files):
    Path(key_files["secret"]).chmod(0o644)
    hub = start_wsd(toml({"auth": {"mode": "jwt", "hmac_secret_file": key_files["secret"]}}))
    hub.wait_for_log("everybody can read this secret")
