# SPDX-License-Identifier: Apache-2.0
"""A real nginx before a server, or several, as the documentation has it."""

import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

import pytest

from tests.product import wait_for

TOP = Path(__file__).parents[2]


@contextmanager
def nginx(
    directory: Path,
    port: int,
    server_ports: int | Sequence[int],
    changes: Mapping[str, str] = MappingProxyType({}),
    beside: str = "",
) -> Iterator[None]:
    """Run nginx before the server, or several, as docs/operations.md has it.

    :param changes: a documented directive, and what is there instead
    :param beside: directives beside the server, in the block ``http``
    """
    location = _documented_location()
    for directive, instead in changes.items():
        assert directive in location
        location = location.replace(directive, instead)
    directory.mkdir(exist_ok=True)
    ports = [server_ports] if isinstance(server_ports, int) else server_ports
    servers = " ".join(f"server 127.0.0.1:{number};" for number in ports)
    (directory / "nginx.conf").write_text(
        f"""daemon off; user root; pid {directory}/pid; error_log {directory}/error.log;
        events {{}}
        http {{
            access_log off; client_body_temp_path {directory}/body; proxy_temp_path {directory}/proxy;
            fastcgi_temp_path {directory}/fastcgi; uwsgi_temp_path {directory}/uwsgi;
            scgi_temp_path {directory}/scgi; {beside}
            upstream kvmfaults {{ {servers} }}
            server {{
                listen 127.0.0.1:{port};
                location / {{ {location} }}
            }}
        }}
        """
    )
    command = ["nginx", "-e", str(directory / "error.log"), "-c", str(directory / "nginx.conf")]
    try:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        pytest.skip("nginx is not installed")
    try:
        wait_for(lambda: _answers(port), 30, "nginx listens")
        yield
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(30)


def _answers(port: int) -> bool | None:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0 or None


def _documented_location() -> str:
    text = (TOP / "docs" / "operations.md").read_text()
    return text.partition("\tlocation / {\n")[2].partition("\t}\n")[0]


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
