# SPDX-License-Identifier: Apache-2.0
"""Runs the server and the collector side by side; script/server calls it once all is set up.

The collector ends first, so that the server takes what it still ships. A server or collector that dies is
started again: batches wait on disk meanwhile.
"""

import argparse
import ctypes
import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TextIO
from urllib.parse import quote

from backend.__main__ import main as server_command
from backend.settings import Settings
from collector.settings import MAX_INTERVAL_S, MIN_INTERVAL_S
from collector.trace.hosts import DEFAULT as IMPORTED
from faultmodel import console

TOP = Path(__file__).resolve().parent.parent
PR_SET_PDEATHSIG = 1
START_S = 30.0
END_S = 4.0
"""Both ends together; script/server promises five seconds."""
RESTART_S = 1.0


class Child:
    """One process, started again when it dies."""

    def __init__(self, name: str, arguments: Sequence[str], *, restart: bool = True) -> None:
        self.name = name
        self.arguments = arguments
        self._restart = restart
        self._process: subprocess.Popen[str] | None = None

    def start(self, stdout: int | None = None) -> None:
        """Start the process; it ends with this one, also when this one is killed."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", *self.arguments],
            cwd=TOP,
            stdout=stdout,
            text=True,
            preexec_fn=_die_with_parent,
            start_new_session=True,
        )

    def first_line(self, stop: "_Stop", seconds: float) -> str:
        """Wait for the first line that it prints; empty where it ended, or was asked to, before that."""
        assert self._process is not None
        output = self._process.stdout
        assert output is not None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not stop.asked:
            if select.select([output], [], [], 0.05)[0]:
                return output.readline()
        return ""

    def check(self) -> None:
        """Start it again if it died."""
        if self._process is None or self._process.poll() is None:
            return
        code = self._process.returncode
        self._process = None
        if self._restart:
            say(f"{self.name} ended with code {code}, starting it again", error=True)
            time.sleep(RESTART_S)
            self.start(subprocess.DEVNULL)
        elif code != 0:
            say(f"{self.name} ended with code {code}", error=True)

    def ask_to_end(self) -> None:
        """Send SIGTERM."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def end(self, deadline: float) -> None:
        """Ask it to end; kill it at the deadline (time.monotonic)."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            say(f"{self.name} did not end in time, killed", error=True)
            self._process.kill()
            self._process.wait()


def main() -> int:
    """Run until asked to end."""
    options = _options()
    lock = _lock(options.data_dir)
    _prepare(options)
    stop = _Stop()
    server = Child("server", _server(options, options.port))
    feeds: list[Child] = []
    try:
        server.start(subprocess.PIPE)
        # Its own first line, not an answer on the port: that may be another's.
        url = server.first_line(stop, START_S).strip().rpartition(" ")[2].rstrip("/")
        if not url:
            if not stop.asked:
                say("the server did not start", error=True)
            return 0 if stop.asked else 1
        port = int(url.rpartition(":")[2])
        server.arguments = _server(options, port)
        if _is_every_address(options.host):
            # Nobody can go there.
            url = f"http://{socket.gethostname()}:{port}"
        say(f"dashboard at {url}/")
        if _asks_for_tokens(options):
            say(f"sign in with the token in {options.data_dir / 'read.token'}")
        if not (options.no_collector or options.files):
            say("the collector starts; it says here and on the page what it waits for")
        feeds = _feeds(options, f"http://{_near(options.host)}:{port}")
        for feed in feeds:
            feed.start()
        while not stop.wait(0.5):
            for child in (server, *feeds):
                child.check()
    finally:
        deadline = time.monotonic() + END_S
        # Feeds first: what they still ship, the server still takes.
        for feed in feeds:
            feed.ask_to_end()
        for feed in feeds:
            feed.end(deadline - 1.0)
        server.end(deadline)
        lock.close()
    return 0


class _Stop:
    """Set by SIGINT and SIGTERM."""

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)

    def _ask(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True

    def wait(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not self.asked and time.monotonic() < deadline:
            time.sleep(0.05)
        return self.asked


def say(message: str, *, error: bool = False) -> None:
    """Print a line that is ours."""
    print(f"kvmfaults: {message}", file=sys.stderr if error else sys.stdout, flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="script/server")
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, default=8470)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--database")
    parser.add_argument("--interval", default="1")
    parser.add_argument("--no-collector", action="store_true")
    parser.add_argument("--demo", action="store_true")
    parser.add_argument("--import", dest="files", nargs="+", type=Path)
    options = parser.parse_args()
    if not 0 <= options.port <= 65535:
        parser.error(f"--port {options.port} is not a port: 0 to 65535")
    if options.files and options.demo:
        parser.error("--demo needs the kernel, --import goes without: give one of them")
    if not _is_interval(options.interval):
        parser.error(f"--interval {options.interval}: {MIN_INTERVAL_S:g} to {MAX_INTERVAL_S:g} seconds")
    # The import reports one that is missing among others, and goes on without it.
    if options.files and not any(file.is_file() for file in options.files):
        parser.error(f"--import: no file {options.files[0]}")
    options.database = options.database or f"sqlite:///{options.data_dir / 'kvmfaults.db'}"
    return options


def _is_interval(text: str) -> bool:
    try:
        return MIN_INTERVAL_S <= float(text) <= MAX_INTERVAL_S
    except ValueError:
        return False


def _prepare(options: argparse.Namespace) -> None:
    """Migrate the database; make the tokens that are not there yet."""
    _server_command("migrate", "--database", options.database)
    # Not in the command line of a process that stays: everybody could read a password in it.
    os.environ["KVMFAULTS_DATABASE"] = options.database
    token = ["token", "create", "--if-missing"]
    _server_command(*token, "--kind", "ingest", "--host", _host_name(options), "--file", str(_token(options)))
    if _asks_for_tokens(options):
        _server_command(*token, "--kind", "read", "--file", str(options.data_dir / "read.token"))


def _asks_for_tokens(options: argparse.Namespace) -> bool:
    return Settings(database=options.database, host=options.host).requires_tokens


def _server_command(*arguments: str) -> None:
    # In this process: starting an interpreter for each would double the time to start.
    if server_command(arguments) != 0:
        raise SystemExit(1)


def _server(options: argparse.Namespace, port: int) -> list[str]:
    live = not (options.no_collector or options.files)
    return [
        "backend",
        "serve",
        "--host",
        options.host,
        "--port",
        str(port),
        "--expect-collector" if live else "--no-collector",
    ]


def _feeds(options: argparse.Namespace, url: str) -> list[Child]:
    host = _host_name(options)
    to_server = ["--server", url, "--token-file", str(_token(options))]
    if options.files:
        files = [str(file.resolve()) for file in options.files]
        return [Child("import", ["collector", "import", *to_server, "--host", host, *files], restart=False)]
    to_server += ["--host", host]
    feeds = []
    here = ["--data-dir", str(options.data_dir)]
    if not options.no_collector:
        feeds.append(
            Child("collector", ["collector", "run", *to_server, *here, "--interval", options.interval])
        )
    if options.demo:
        feeds.append(Child("demo", ["demo"], restart=False))
    return feeds


def _token(options: argparse.Namespace) -> Path:
    directory: Path = options.data_dir
    # A machine that was renamed is another host, with a token of its own.
    name = IMPORTED if options.files else f"ingest-{quote(_host_name(options), safe='')}"
    return directory / f"{name}.token"


def _host_name(options: argparse.Namespace) -> str:
    # A recording is not of this host; it gets a host of its own.
    return IMPORTED if options.files else socket.gethostname()


def _lock(data_dir: Path) -> TextIO:
    file = os.fdopen(os.open(data_dir / "lock", os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600), "w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise SystemExit(
            f"kvmfaults: already running with {data_dir}; end that one first, or give another --data-dir"
        ) from None
    return file


def _is_every_address(host: str) -> bool:
    return host in ("0.0.0.0", "::")


def _near(host: str) -> str:
    """The address at which this machine itself reaches what listens on ``host``."""
    if _is_every_address(host):
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(console.run(main))
