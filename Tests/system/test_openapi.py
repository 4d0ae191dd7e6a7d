"""The API as its own description says it is."""

import json
import os
import subprocess
import sys

import pytest

from jsonclient import JSONClient
from test_api import KEYS, api, start_api  # noqa: F401 (fixtures)


# A few thousand requests, one after the other.
@pytest.mark.timeout(900)
def test_the_api_is_what_its_description_says(api, tmp_path):  # noqa: F811
    """Requests made up from the schema, good and bad: no 500, and no answer that the schema does not know."""
    report = tmp_path / "report"
    # A command that is not as it must be has an error in its reply, and the batch is answered with 200.
    (tmp_path / "schemathesis.toml").write_text(
        '[[operations]]\ninclude-path = "/api/batch"\n'
        'checks.negative_data_rejection.expected-statuses = [200, "4xx"]\n'
    )
    with JSONClient(api.hub.port) as client:
        client.ok("join", channel="a")
        checked = subprocess.run(
            [
                os.path.join(os.path.dirname(sys.executable), "schemathesis"),
                "run",
                f"http://127.0.0.1:{api.port}/api/openapi.json",
                "--url",
                f"http://127.0.0.1:{api.port}",
                "--header",
                f"Authorization: Bearer {KEYS['admin']}",
                "--checks",
                "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
                "negative_data_rejection,unsupported_method",
                "--exclude-path",
                "/debug/pprof/profile",
                "--max-examples",
                "30",
                "--seed",
                "1",
                "--request-timeout",
                "60",
                "--no-color",
                "--report",
                "junit",
                "--report-dir",
                str(report),
            ],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
    assert checked.returncode == 0, checked.stdout[-8000:] + checked.stderr[-2000:]
    assert api.hub.is_alive()


def test_every_path_is_described(api):  # noqa: F811
    status, headers, text = api.raw("GET", "/api/openapi.json")
    assert status == 200 and headers["Content-Type"] == "application/json"
    document = json.loads(text)
    assert document["openapi"].startswith("3.1") and document["info"]["version"] != "VERSION"
    for path, methods in document["paths"].items():
        for method in methods:
            answered = api.raw(method.upper(), path)[0]
            # Without a key: refused, or one of those that need none.
            assert answered == (401 if methods[method].get("security") != [] else 200), path
    known = set(document["paths"])
    assert {"/api/publish", "/api/batch", "/metrics", "/debug/pprof/profile"} <= known


@pytest.mark.parametrize("path", ["/api/publish", "/api/status"])
def test_other_methods_are_refused_and_the_right_one_named(api, path):  # noqa: F811
    status, headers, _ = api.raw("PUT", path, headers={"X-API-Key": KEYS["admin"]})
    assert status == 405 and headers["Allow"] in ("GET", "POST")
