"""A real browser on each of two nodes behind nginx: the page keeps what it shows while one of them is stopped."""

import subprocess
import urllib.request

import pytest

from ports import free_port
from waiting import wait_until

CONFIG = {
    "server": {"trusted_proxies": ["127.0.0.1"]},
    "endpoint": [{"path": "/chat", "protocol": "json", "channel": "lobby"}],
    "channels": {"lobby": {"presence": True, "join_leave": True, "history": 100, "leave_delay": "500ms"}},
    "drain": {"period": "0s", "timeout": "10s"},
}

NGINX = """
daemon off; pid %(directory)s/pid; error_log %(directory)s/error.log;
events { worker_connections 512; }
http {
    access_log off;
    client_body_temp_path %(directory)s/body; proxy_temp_path %(directory)s/proxy;
    fastcgi_temp_path %(directory)s/fastcgi; uwsgi_temp_path %(directory)s/uwsgi; scgi_temp_path %(directory)s/scgi;
    upstream wsd {
        least_conn;
        %(servers)s
    }
    server {
        listen 127.0.0.1:%(port)d;
        location / {
            proxy_pass http://wsd;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_next_upstream error timeout http_503;
            proxy_read_timeout 1h;
        }
    }
}
"""


@pytest.fixture
def balanced(nodes, wsd_directory):
    """Two nodes, and the address at which nginx spreads clients over them."""
    pair = nodes.start(CONFIG), nodes.start(CONFIG)
    directory = wsd_directory / "nginx"
    directory.mkdir()
    port = free_port()
    servers = "\n".join(f"server 127.0.0.1:{node.port} max_fails=1 fail_timeout=1s;" for node in pair)
    (directory / "nginx.conf").write_text(NGINX % {"directory": directory, "port": port, "servers": servers})
    process = subprocess.Popen(["nginx", "-c", directory / "nginx.conf", "-p", directory])
    url = f"http://127.0.0.1:{port}/"

    def answers():
        assert process.poll() is None, (directory / "error.log").read_text()
        try:
            return urllib.request.urlopen(url).status == 200
        except OSError:
            return False

    wait_until(answers, "nginx answers")
    yield pair, url
    process.terminate()
    process.wait()


def test_the_page_keeps_its_history_and_presence_while_a_node_is_stopped(browser, balanced):
    browser.outage = True
    (first, second), url = balanced
    ada = browser.open(url).until_connected()
    ada.call_me("Ada")
    grace = browser.open(url).until_connected()
    grace.call_me("Grace")
    for node in (first, second):
        node.daemon.wait_for_connections(1)
    for page in (ada, grace):
        page.until(lambda page: page.find("#people").text.startswith("2 here"), "both are here")
    ada.write("from one node")
    grace.until_shown("from one node")
    grace.write("from the other")
    ada.until_shown("from the other")

    # The page whose node goes comes back on the other one, with what it had, and what was said meanwhile.
    assert first.daemon.stop() == 0
    second.daemon.wait_for_connections(2)
    grace.write("while you were away")
    for page in (ada, grace):
        page.until_connected()
        page.until_shown("from one node", "from the other", "while you were away")
        page.until(lambda page: page.find("#people").text.startswith("2 here"), "both are here")
    ada.write("and back")
    grace.until_shown("and back")
    for page in (ada, grace):
        assert page.messages == ["from one node", "from the other", "while you were away", "and back"]
