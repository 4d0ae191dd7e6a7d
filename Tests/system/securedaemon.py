"""The daemon with a port for TLS, to which the raw clients of the tests connect."""

import tomllib

from certificates import Certificate, client_context
from ports import free_port
from rawws import RawWebSocket, Wire
from wsdaemon import Daemon, merged


class SecureDaemon(Daemon):
    """A daemon whose `connect` and `wire` are inside TLS; `port` is that for TLS, `plain_port` the other."""

    def __init__(self, directory, config="", **options):
        directory.mkdir(parents=True, exist_ok=True)
        self.certificate = Certificate(directory, "certificate")
        wanted = tomllib.loads(config) if isinstance(config, str) else config
        self.tls_port = free_port()
        tls = {
            "server": {"listen_tls": [f"127.0.0.1:{self.tls_port}"]},
            "tls": {"certificates": [self.certificate.setting]},
        }
        super().__init__(directory, merged(tls, wanted), **options)
        self.plain_port, self.port = self.port, self.tls_port

    def connect(self, path="/ws", **options):
        client = RawWebSocket(self.tls_port, path, tls=client_context(), **options)
        self._clients.append(client)
        return client

    def wire(self, **options):
        wire = Wire(self.tls_port, tls=client_context(), **options)
        self._clients.append(wire)
        return wire
