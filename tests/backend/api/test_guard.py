# SPDX-License-Identifier: Apache-2.0
"""What holds for every request and every answer."""

import pytest

from backend.store.contract.store import Store
from tests.backend.serving import Server, make_server

EVERYWHERE = ["/", "/healthz", "/api/v1/vms", "/nowhere", "/api/v1/vms?limit=0"]


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "127.0.0.1:8470", "LOCALHOST:1"])
def test_a_server_on_loopback_answers_to_its_own_names(server: Server, host: str) -> None:
    assert server.request("GET", "/healthz", host=host).status_code == 200


@pytest.mark.parametrize("path", EVERYWHERE)
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8470"])
def test_a_server_on_loopback_does_not_answer_to_other_names(server: Server, host: str, path: str) -> None:
    response = server.request("GET", path, host=host)
    assert response.status_code == 421
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("host", [b"", b"\xff", b"localhost, evil.example", b"localhost evil.example"])
def test_a_host_header_that_is_no_name_is_refused(server: Server, host: bytes) -> None:
    assert server.request("GET", "/healthz", headers={"Host": host}).status_code == 421


def test_names_can_be_added(store: Store) -> None:
    server = make_server(store, allowed_hosts=("faults.example",))
    assert server.request("GET", "/healthz", host="faults.example").status_code == 200
    assert server.request("GET", "/healthz", host="evil.example").status_code == 421


def test_a_server_that_others_reach_goes_by_any_name_unless_configured(store: Store) -> None:
    assert (
        make_server(store, host="0.0.0.0").request("GET", "/healthz", host="any.example").status_code == 200
    )
    configured = make_server(store, host="0.0.0.0", allowed_hosts=("faults.example",))
    assert configured.request("GET", "/healthz", host="any.example").status_code == 421


@pytest.mark.parametrize("path", EVERYWHERE)
def test_every_answer_has_safe_headers(server: Server, path: str) -> None:
    headers = server.request("GET", path).headers
    assert "default-src 'self'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_no_other_site_may_read(server: Server) -> None:
    response = server.request("GET", "/api/v1/vms", headers={"Origin": "https://evil.example"})
    assert not [name for name in response.headers if name.startswith("access-control-")]
