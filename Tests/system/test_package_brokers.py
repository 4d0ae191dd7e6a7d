"""The packages of brokers' plugins, installed beside wsd, in the sandbox of its unit and on both releases' libraries."""

import shutil
import subprocess

import pytest
from container.machine import kill, wait_for
from container.passage import Outlet
from debpackage import changed
from kafkaserver import mock_program
from rabbitmqserver import RabbitMQServer

from wsdaemon import REPOSITORY

DROP_IN = "/etc/systemd/system/wsd.service.d/broker.conf"


@pytest.fixture
def plugin(administrator, packages, request):
    """The administrator, with the package of a plugin; with none of them afterwards."""
    [package] = packages[0].parent.glob(f"wsd-{request.param}_*.deb")
    administrator.configure = lambda text: administrator.machine.write("/etc/wsd/wsd.toml.d/50-broker.toml", text)
    administrator.plugin = package
    yield administrator
    administrator.apt("purge", f"wsd-{request.param}")


def begins(administrator):
    """Lets the service reach 127.0.0.1, as the example says it, and starts it."""
    example = (REPOSITORY / "packaging/examples/broker.conf").read_text()
    administrator.machine.write(DROP_IN, example.replace("10.0.0.5", "127.0.0.1"))
    administrator.run("systemctl", "daemon-reload")
    administrator.run("systemctl", "restart", "wsd.service")
    ready = lambda: administrator.run("curl", "--silent", "http://127.0.0.1:8081/readyz").stdout
    try:
        wait_for(lambda: ready() == "ok\n", "the broker works")
    except TimeoutError as error:
        error.add_note(f"{ready()}\n{administrator.log()}")
        raise


@pytest.mark.parametrize("plugin", ["kafka"], indirect=True)
def test_kafka(plugin, request, tmp_path):
    plugin.configure('[broker]\ntype = "kafka"\nurl = "kafka://127.0.0.1:1"\n')
    # Without the package it is said which one is missing.
    plugin.run("systemctl", "restart", "wsd.service", status=1)
    assert "install the package wsd-kafka" in plugin.log()
    plugin.install(plugin.plugin)
    shutil.copy(mock_program(), plugin.machine.path("/usr/local/bin/mockkafka"))
    server = plugin.machine.popen("mockkafka", "1", "wsd", "4", stdin=subprocess.PIPE)
    request.addfinalizer(lambda: kill(server))
    address = server.stdout.readline().strip()
    assert address.startswith("127.0.0.1:"), server.communicate()
    plugin.configure(f'[broker]\ntype = "kafka"\nurl = "kafka://{address}"\n')
    plugin.run("systemctl", "reset-failed", "wsd.service")
    begins(plugin)
    assert plugin.talk("through Kafka") == "through Kafka"
    # Another version of the plugin is in force at once.
    process = plugin.pid
    plugin.install(changed(plugin.plugin, tmp_path, "0.1.1"))
    wait_for(lambda: plugin.pid not in (0, process), "the daemon is another")
    assert "restarted:" in plugin.log()


@pytest.mark.parametrize("plugin", ["rabbitmq"], indirect=True)
def test_rabbitmq(plugin, request, tmp_path):
    server = RabbitMQServer(tmp_path)
    request.addfinalizer(server.kill)
    outlet = Outlet(plugin.machine, 5672, server.port)
    request.addfinalizer(outlet.close)
    plugin.install(plugin.plugin)
    plugin.configure('[broker]\ntype = "rabbitmq"\nurl = "amqp://127.0.0.1"\n')
    begins(plugin)
    assert plugin.talk("through RabbitMQ") == "through RabbitMQ"
