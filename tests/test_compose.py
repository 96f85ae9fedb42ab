# SPDX-License-Identifier: Apache-2.0
"""What docker-compose.yml promises about rights, ports and secrets. script/prove-docker runs it for real."""

import re
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml  # type: ignore[import-untyped]
from sqlalchemy.engine import make_url

TOP = Path(__file__).resolve().parent.parent
TEXT = (TOP / "docker-compose.yml").read_text()
COMPOSE = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


@pytest.fixture(params=sorted(SERVICES))
def service(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Every service in turn."""
    return SERVICES[request.param]


def test_every_container_drops_all_capabilities(service: dict[str, Any]) -> None:
    assert service["cap_drop"] == ["ALL"]


def test_every_container_has_a_read_only_root(service: dict[str, Any]) -> None:
    assert service["read_only"] is True


def test_no_container_can_gain_privileges(service: dict[str, Any]) -> None:
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not service.get("privileged", False)


def test_every_container_has_limits_of_memory_processes_and_logs(service: dict[str, Any]) -> None:
    assert re.fullmatch("[0-9]+[mg]", service["mem_limit"])
    # ClickHouse has hundreds of threads, which are counted as processes.
    assert 0 < service["pids_limit"] <= (4096 if service is SERVICES["clickhouse"] else 256)
    options = service["logging"]["options"]
    assert re.fullmatch("[0-9]+m", options["max-size"])
    assert 0 < int(options["max-file"]) <= 5


def test_only_the_collector_has_capabilities_and_only_two() -> None:
    assert {name: service["cap_add"] for name, service in SERVICES.items() if "cap_add" in service} == {
        "collector": ["BPF", "PERFMON"]
    }


def test_only_the_collector_sees_processes_of_the_host() -> None:
    assert [name for name, service in SERVICES.items() if "pid" in service] == ["collector"]


def test_no_container_shares_the_network_of_the_host(service: dict[str, Any]) -> None:
    assert service.get("network_mode") != "host"


def test_every_added_capability_says_what_it_is_for() -> None:
    added = [line for line in _lines_of("cap_add") if line.lstrip().startswith("-")]
    assert len(added) == 2
    assert all(re.search(r"- \w+ # \w+", line) for line in added)


def test_only_the_collector_mounts_something_of_the_host_the_bpf_file_system_and_tracefs() -> None:
    mounted = {
        name: [source for source in _sources(service) if source not in COMPOSE["volumes"]]
        for name, service in SERVICES.items()
    }
    assert {name: sources for name, sources in mounted.items() if sources} == {
        "collector": ["/sys/fs/bpf", "/sys/kernel/tracing"]
    }


def test_ports_are_published_on_loopback_only() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert published == ["127.0.0.1:${KVMFAULTS_PORT:-8470}:8470"]


def test_the_databases_and_the_collector_have_no_way_out() -> None:
    networks = {
        network for name in ("db", "clickhouse", "collector") for network in SERVICES[name]["networks"]
    }
    assert all(COMPOSE["networks"][network]["internal"] for network in networks)


def test_what_keeps_running_has_a_health_check() -> None:
    kept = {name for name, service in SERVICES.items() if "restart" in service}
    assert kept == {name for name, service in SERVICES.items() if "healthcheck" in service}
    assert kept == {"db", "clickhouse", "server", "collector"}


def test_what_runs_once_is_waited_for() -> None:
    once = {name for name, service in SERVICES.items() if "restart" not in service}
    awaited = {
        name
        for service in SERVICES.values()
        for name, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_completed_successfully"
    }
    assert once == awaited


def test_clickhouse_runs_with_its_profile_alone_and_is_waited_for_where_it_does() -> None:
    assert {name for name, service in SERVICES.items() if "profiles" in service} == {"clickhouse"}
    assert SERVICES["clickhouse"]["profiles"] == ["clickhouse"]
    awaited = SERVICES["migrate"]["depends_on"]["clickhouse"]
    assert awaited == {"condition": "service_healthy", "required": False}


def test_images_of_others_are_of_a_version() -> None:
    others = {service["image"] for service in SERVICES.values() if "KVMFAULTS_TAG" not in service["image"]}
    assert len(others) == 2
    assert all(re.fullmatch(r"[a-z/-]+:[0-9.]+", image) for image in others)
    # That of the engine with which ClickHouse is tested.
    assert SERVICES["clickhouse"]["image"].partition(":")[2] == ".".join(version("chdb-core").split(".")[:2])


def test_passwords_are_made_once_and_are_those_that_the_databases_know(tmp_path: Path) -> None:
    for name in ("database", "series"):
        (tmp_path / name).mkdir()
    (made,) = SERVICES["secrets"]["command"]
    script = made.replace("$$", "$").replace("/run/kvmfaults", str(tmp_path))
    held: list[dict[str, str]] = []
    for _ in range(2):
        subprocess.run(["sh", "-euc", script], check=True)
        held.append({file.name: file.read_text() for file in tmp_path.glob("*/*")})
        held[-1]["password"] = (tmp_path / "database" / "password").read_text()
    assert held[0] == held[1]
    of_postgresql = held[0]["password"].strip()
    assert held[0]["service.conf"] == f"[kvmfaults]\npassword={of_postgresql}\n"
    of_clickhouse = (tmp_path / "series" / "password").read_text().strip()
    assert len(of_clickhouse) > 40
    assert of_clickhouse != of_postgresql
    users = ElementTree.fromstring(held[0]["user.xml"])
    expected = sha256(of_clickhouse.encode()).hexdigest()
    assert users.findtext("users/kvmfaults/password_sha256_hex") == expected
    default = users.find("users/default")
    assert default is not None
    assert default.get("remove") == "remove"


def test_who_needs_clickhouses_password_finds_it_where_the_documentation_says() -> None:
    (said,) = re.findall(r"^KVMFAULTS_SERIES=(.*)$", (TOP / "docs" / "docker.md").read_text(), re.MULTILINE)
    assert f'"{said}"' in (TOP / "script" / "prove_docker.py").read_text()
    url = make_url(said)
    assert (url.host, url.username, url.password) == ("clickhouse", "kvmfaults", None)
    file = Path(str(url.query["password_file"]))
    assert file.name == "password"
    needed = {"migrate", "enrol", "server"}
    assert needed == {
        name
        for name, service in SERVICES.items()
        if f"series-secret:{file.parent}:ro" in service.get("volumes", ())
    }
    assert "series-secret:/etc/clickhouse-server/users.d:ro" in SERVICES["clickhouse"]["volumes"]


def test_no_environment_holds_a_password_or_a_token(service: dict[str, Any]) -> None:
    secret = re.compile("password|token|secret", re.IGNORECASE)
    held = [name for name in service.get("environment", {}) if secret.search(name)]
    assert all(name.endswith("_FILE") for name in held)


def test_the_server_image_runs_as_a_user_without_rights() -> None:
    final = (TOP / "backend" / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    assert re.findall(r"^USER (.+)$", final, re.MULTILINE) == ["10001:10001"]
    assert "user" not in SERVICES["server"]


def test_images_have_official_names_and_need_no_frontend_image() -> None:
    for dockerfile in (TOP / "backend" / "Dockerfile", TOP / "collector" / "Dockerfile"):
        text = dockerfile.read_text()
        assert "# syntax=" not in text
        assert set(re.findall(r"^FROM ([^ \n]+)", text, re.MULTILINE)) <= {
            "python:3.11-slim",
            "debian:bookworm-slim",
        }


def _sources(service: dict[str, Any]) -> list[str]:
    """What is mounted: volumes and directories of the host."""
    return [volume.partition(":")[0] for volume in service.get("volumes", ())]


def _lines_of(key: str) -> Iterator[str]:
    """The lines that belong to a key, by their indentation."""
    depth: int | None = None
    for line in TEXT.splitlines():
        indentation = len(line) - len(line.lstrip())
        if depth is not None and line.strip() and indentation <= depth:
            depth = None
        if depth is not None:
            yield line
        if line.strip() == f"{key}:":
            depth = indentation
