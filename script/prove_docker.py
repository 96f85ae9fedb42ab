# SPDX-License-Identifier: Apache-2.0
"""Proves the deployment of docker-compose.yml with a real guest; script/prove-docker calls it.

It runs beside whatever else the engine runs, as a project of its own with images of its own, and removes all
of it at the end. The engine must be running already, on this machine.
"""

import argparse
import fcntl
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

TOP = Path(__file__).resolve().parent.parent
PROJECT = "kvmfaults-proof"
TAG = "proof"
HOST = "proof-host"
GUESTS = ("proof-guest", "outage-guest", "unwatched-guest")
CANNOT_TRY = 77
"""The exit code by which test harnesses know a test that could not be run."""
SERIES = "clickhousedb://kvmfaults@clickhouse:8123/default?password_file=/run/kvmfaults/series/password"
CLICKHOUSE = {"COMPOSE_PROFILES": "clickhouse", "KVMFAULTS_SERIES": SERIES}
"""The settings with which counts and records are in ClickHouse."""
OLDEST_ENGINE = 25
"""The first that knows start_interval of a health check."""
BUILD_S = 1200.0
START_S = 180
SEEN_S = 15.0
BPF_AND_PERFMON = 1 << 39 | 1 << 38
"""Source: include/uapi/linux/capability.h, CAP_BPF and CAP_PERFMON."""
FILTERED = 2
"""Source: include/uapi/linux/seccomp.h, SECCOMP_MODE_FILTER."""


class CannotTryError(Exception):
    """Something that the proof needs is not here."""


class NotProvedError(Exception):
    """The deployment does not do what it is to do."""


def main() -> int:
    """Run the proof; return the exit code."""
    options = _options()
    try:
        _require_engine()
        _require_no_collector()
        with _deployment(keep=options.keep, clickhouse=options.clickhouse) as deployment:
            _prove(deployment)
    except CannotTryError as exc:
        print(f"prove-docker: cannot try: {exc}", file=sys.stderr)
        return CANNOT_TRY
    except NotProvedError as exc:
        print(f"prove-docker: FAILED: {exc}", file=sys.stderr)
        return 1
    print("prove-docker: proved")
    return 0


class Deployment:
    """The project on the engine, and its API."""

    def __init__(self, port: int, *, clickhouse: bool) -> None:
        self.has_clickhouse = clickhouse
        self._url = f"http://127.0.0.1:{port}"
        self._token = ""
        self._environment = {
            **os.environ,
            "COMPOSE_PROJECT_NAME": PROJECT,
            "COMPOSE_FILE": str(TOP / "docker-compose.yml"),
            "KVMFAULTS_PORT": str(port),
            "KVMFAULTS_HOST_NAME": HOST,
            "KVMFAULTS_TAG": TAG,
            **(CLICKHOUSE if clickhouse else dict.fromkeys(CLICKHOUSE, "")),
        }

    def compose(self, *arguments: str, within_s: float = 60.0) -> str:
        """Run ``docker compose``; return what it prints. :raises NotProvedError: it fails"""
        return _run(
            "docker", "compose", "--progress=quiet", *arguments, env=self._environment, within_s=within_s
        )

    def start(self) -> None:
        """Start what is not running and wait until all is healthy."""
        self.compose("up", "-d", "--wait", "--wait-timeout", str(START_S), within_s=START_S + 60)

    def read_file(self, path: str) -> str:
        """Return a file of the server's container."""
        return self.compose("exec", "-T", "server", "cat", path)

    def inspect(self, service: str) -> dict[str, Any]:
        """Return what the engine knows of a service's container."""
        container = self.compose("ps", "--all", "--quiet", service).strip()
        return dict(json.loads(_run("docker", "inspect", container))[0])

    def sign_in(self) -> None:
        """Read with the token that the deployment made."""
        self._token = self.read_file("/run/kvmfaults/read/read.token").strip()

    def status(self, path: str) -> int:
        """Return the HTTP status of a path asked for without a token."""
        try:
            with urlopen(self._url + path, timeout=5) as response:
                return int(response.status)
        except HTTPError as exc:
            return exc.code

    def get(self, path: str, **parameters: object) -> dict[str, Any]:
        """Return the JSON of a path under /api/v1. :raises NotProvedError: it cannot be had"""
        request = Request(f"{self._url}/api/v1/{path}?{urlencode(parameters)}")
        request.add_header("Authorization", f"Bearer {self._token}")
        try:
            with urlopen(request, timeout=10) as response:
                return dict(json.load(response))
        except (HTTPError, URLError) as exc:
            raise NotProvedError(f"GET /api/v1/{path}: {exc}") from exc


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="script/prove-docker",
        description="Build and start docker-compose.yml, trace real guests, check everything, remove it.",
        epilog=f"exit code: 0 proved, 1 not, {CANNOT_TRY} where it cannot be tried",
    )
    parser.add_argument("--keep", action="store_true", help=f"leave the project {PROJECT} running at the end")
    parser.add_argument("--clickhouse", action="store_true", help="with counts and records in ClickHouse")
    return parser.parse_args()


def _require_no_collector() -> None:
    """:raises CannotTryError: a collector counts on this machine, and the proof's would wait for it to end"""
    pins = Path("/sys/fs/bpf/kvmfaults")
    if not pins.is_dir():
        return
    descriptor = os.open(pins, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CannotTryError("a collector counts on this machine already; end it first") from None
    finally:
        os.close(descriptor)


def _require_engine() -> None:
    try:
        version = _run("docker", "version", "--format", "{{.Server.Version}}").strip()
        _run("docker", "compose", "version")
    except FileNotFoundError:
        raise CannotTryError("there is no docker command") from None
    except NotProvedError as exc:
        raise CannotTryError(f"no engine can be reached, or Compose is missing: {exc}") from None
    number = re.match(r"\d+", version)
    if number is None or int(number[0]) < OLDEST_ENGINE:
        raise CannotTryError(f"the engine is {version}, {OLDEST_ENGINE} or newer is needed")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        raise CannotTryError("/dev/kvm cannot be opened: no guest can be run here")


@contextmanager
def _deployment(*, keep: bool, clickhouse: bool) -> Iterator[Deployment]:
    deployment = Deployment(_free_port(), clickhouse=clickhouse)
    remove = ("down", "--volumes", "--remove-orphans")
    # What a proof that was killed left behind.
    deployment.compose(*remove)
    try:
        _step("build", lambda: deployment.compose("build", "--quiet", within_s=BUILD_S))
        yield deployment
    except NotProvedError:
        print(deployment.compose("logs", "--no-color", "--tail", "40"), file=sys.stderr)
        raise
    finally:
        if not keep:
            deployment.compose(*remove)
            for image in ("server", "collector"):
                # Quiet where there is none: the build may have failed.
                _run("docker", "image", "rm", "--force", f"kvmfaults-{image}:{TAG}")


def _prove(deployment: Deployment) -> None:
    _step("start, all healthy", deployment.start)
    _step("server: no root, no capability, nothing to write", lambda: _check_server(deployment))
    _step("database: the same", lambda: _check_capabilities(deployment, "db", 0))
    if deployment.has_clickhouse:
        _step("ClickHouse: the same", lambda: _check_capabilities(deployment, "clickhouse", 0))
    _step("collector: BPF and PERFMON only", lambda: _check_collector(deployment))
    _step("the page is there, reading needs the token", lambda: _check_access(deployment))
    _step("secrets are in files only", lambda: _check_secrets(deployment))
    _step("a guest is counted exactly", lambda: _check_guest(deployment, "proof-guest"))
    _step("a guest is counted while the server is away", lambda: _check_outage(deployment))
    _step("a guest is counted while the collector is away", lambda: _check_killed_collector(deployment))
    _step("start again, nothing lost", lambda: _check_restart(deployment))


def _check_server(deployment: Deployment) -> None:
    _check_capabilities(deployment, "server", 0)
    pid = deployment.inspect("server")["State"]["Pid"]
    uids = set(_proc_status(pid)["Uid"].split())
    _expect("0" not in uids, f"the server runs with uids {uids}")
    ports = deployment.inspect("server")["HostConfig"]["PortBindings"]
    addresses = {binding["HostIp"] for bindings in ports.values() for binding in bindings}
    _expect(addresses == {"127.0.0.1"}, f"the server is published on {addresses}")
    tried = deployment.compose("exec", "-T", "server", "sh", "-c", "touch /opt/kvmfaults/x 2>&1 || true")
    _expect("Read-only file system" in tried, f"the server's files can be written: {tried.strip()}")


def _check_collector(deployment: Deployment) -> None:
    _check_capabilities(deployment, "collector", BPF_AND_PERFMON)
    mounts = deployment.inspect("collector")["Mounts"]
    seen = {mount["Source"] for mount in mounts if mount["Type"] != "volume"}
    _expect(seen == {"/sys/fs/bpf", "/sys/kernel/tracing"}, f"the collector sees of the host: {sorted(seen)}")


def _check_capabilities(deployment: Deployment, service: str, expected: int) -> None:
    container = deployment.inspect(service)
    settings = container["HostConfig"]
    _expect(settings["ReadonlyRootfs"], f"{service}: its root can be written")
    _expect(not settings["Privileged"], f"{service}: is privileged")
    status = _proc_status(container["State"]["Pid"])
    for field in ("CapPrm", "CapEff", "CapBnd"):
        _expect(
            int(status[field], 16) == expected, f"{service}: {field} is {status[field]}, not {expected:016x}"
        )
    _expect(int(status["CapInh"], 16) == int(status["CapAmb"], 16) == 0, f"{service}: passes on capabilities")
    _expect(status["NoNewPrivs"] == "1", f"{service}: could gain privileges")
    _expect(int(status["Seccomp"]) == FILTERED, f"{service}: system calls are not filtered")


def _check_access(deployment: Deployment) -> None:
    open_to_all = {"/": 200, "/healthz": 200, "/readyz": 200}
    for path, expected in {**open_to_all, "/api/v1/vms": 401, "/api/v1/status": 401}.items():
        found = deployment.status(path)
        _expect(found == expected, f"{path} without a token: {found}, not {expected}")
    deployment.sign_in()
    hosts = {host["name"]: host for host in deployment.get("status")["hosts"]}
    _expect(set(hosts) == {HOST}, f"the hosts are {sorted(hosts)}")
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    if hosts[HOST]["boot_id"] != boot_id:
        raise CannotTryError("the engine runs on another machine than this one, whose guests it cannot see")


def _check_secrets(deployment: Deployment) -> None:
    database = deployment.read_file("/run/kvmfaults/database/service.conf")
    secrets = [
        database.partition("password=")[2].strip(),
        deployment.read_file("/run/kvmfaults/read/read.token").strip(),
        deployment.read_file("/run/kvmfaults/series/password").strip(),
    ]
    _expect(all(len(secret) > 30 for secret in secrets), "the secrets are short")
    containers = deployment.compose("ps", "--all", "--quiet").split()
    shown = _run("docker", "inspect", *containers) + deployment.compose("logs", "--no-color")
    _expect(not any(secret in shown for secret in secrets), "a secret is in a container's settings or log")


def _check_guest(deployment: Deployment, name: str) -> None:
    _expect_counted(deployment, _run_guest(name))


def _check_outage(deployment: Deployment) -> None:
    deployment.compose("kill", "server")
    truth = _run_guest("outage-guest")
    deployment.start()
    _expect_counted(deployment, truth)


def _check_killed_collector(deployment: Deployment) -> None:
    """What a guest does while there is no collector is counted in the kernel, and handed in by the next."""
    deployment.compose("kill", "collector")
    truth = _run_guest("unwatched-guest")
    deployment.start()
    _expect_counted(deployment, truth)


def _check_restart(deployment: Deployment) -> None:
    before = _counts_by_id(deployment)
    # Without --volumes: what was counted, and every secret, outlives the containers.
    deployment.compose("down")
    deployment.start()
    _check_access(deployment)
    after = _counts_by_id(deployment)
    _expect(before.items() <= after.items(), f"counts before {before}, after {after}")
    _check_guest(deployment, "restart-guest")


def _counts_by_id(deployment: Deployment) -> dict[str, int]:
    # By name: guests of others on this machine may go on meanwhile, and fill the list.
    found = [vm for name in GUESTS for vm in deployment.get("vms", host=HOST, name=name)["items"]]
    _expect(len(found) == len(GUESTS), f"the guests {', '.join(GUESTS)} are shown as {found}")
    return {vm["id"]: vm["faults"] for vm in found}


def _run_guest(name: str) -> dict[str, Any]:
    order = ("--write", "1000", "--read", "500", "--execute", "50", "--memory-fault", "3", "--vcpus", "2")
    return dict(json.loads(_run(sys.executable, "-m", "demo", "run", *order, "--name", name)))


def _expect_counted(deployment: Deployment, truth: dict[str, Any]) -> None:
    accesses = ("read", "write", "execute")
    faults = sum(part[access] for part in (*truth["vcpus"], truth["extra_faults"]) for access in accesses)
    exits = sum(exit_["kind"] == "memory_fault" for vcpu in truth["vcpus"] for exit_ in vcpu["exits"])
    expected = {"name": truth["name"], "host": HOST, "faults": faults, "memory_fault_exits": exits}
    deadline = time.monotonic() + SEEN_S
    vm: dict[str, Any] = {}
    while not vm.get("ended_at") and time.monotonic() < deadline:
        vm = next(iter(deployment.get("vms", pid=truth["pid"], name=truth["name"])["items"]), {})
        time.sleep(0.1)
    _expect(
        bool(vm.get("ended_at")),
        f"the VM of pid {truth['pid']} is not seen to end: {vm or 'not seen at all'}",
    )
    found = {key: vm[key] for key in expected}
    _expect(found == expected, f"found {found}, the guest did {expected}")


def _proc_status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        raise CannotTryError("the engine runs on another machine than this one") from None
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _expect(holds: bool, message: str) -> None:
    if not holds:
        raise NotProvedError(message)


def _step(what: str, check: Callable[[], object]) -> None:
    began = time.monotonic()
    check()
    print(f"prove-docker: {time.monotonic() - began:5.1f} s  {what}", flush=True)


def _run(*command: str, env: dict[str, str] | None = None, within_s: float = 60.0) -> str:
    try:
        done = subprocess.run(
            command, cwd=TOP, env=env, capture_output=True, text=True, check=False, timeout=within_s
        )
    except subprocess.TimeoutExpired:
        raise NotProvedError(f"{' '.join(command)}: not done within {within_s:g} s") from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise NotProvedError(f"{' '.join(command)}: exit code {done.returncode}: {said}")
    return done.stdout


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
