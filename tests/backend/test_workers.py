# SPDX-License-Identifier: Apache-2.0
"""Several processes on one socket: they serve as one, and one that dies or hangs is replaced."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from backend.auth import TokenKind, hash_token, new_token
from backend.limits import Limits
from backend.store.contract.access import Token
from backend.store.contract.store import Store
from tests.backend.process import run, serving
from tests.batches import make_batch, make_host
from tests.pipeline.servers import hand_in, watching
from tests.product import wait_for

PATIENCE_S = 120.0
HUNG_S = 5.0
IMPATIENT = f"""
import sys
from backend.server import serve
from backend.settings import Settings
serve(Settings(database=sys.argv[1], port=0, workers=2), hung_s={HUNG_S})
"""
"""A server as the command starts it, but for how long it bears with a worker that hangs."""
HANGS_AT_ITS_START = """
import logging, sys, time
from pathlib import Path
from backend.supervisor import Supervisor
logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
starts = Path(sys.argv[1])
def work(ties):
    with starts.open("a") as file:
        file.write("one\\n")
    hangs = len(starts.read_text().splitlines()) == 2
    while not hangs:
        ties.beat()
        time.sleep(0.2)
    time.sleep(3600)
Supervisor(work, 1, lambda: print("ready", flush=True), start_s=3.0).run()
"""
"""Of a worker that was killed, the first that takes its place never serves."""


def workers_of(process: "subprocess.Popen[str]") -> list[int]:
    """Return the process ids of a server's workers."""
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    """Tell whether there is such a process, which a zombie is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def answers(url: str) -> bool:
    """Tell whether a server answers, on a connection of its own."""
    try:
        return httpx.get(f"{url}healthz", timeout=PATIENCE_S).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_workers_end_with_the_server_which_says_once_where_it_is(
    database: str, number: signal.Signals
) -> None:
    with serving("--database", database, "--workers", "3") as (process, url):
        pids = workers_of(process)
        assert len(pids) == 3
        assert all(answers(url) for _ in range(10))
        process.send_signal(number)
        assert process.wait(PATIENCE_S) == 0
        assert process.stdout is not None
        assert process.stdout.read() == ""
        assert not any(map(is_alive, pids))


def test_a_worker_that_is_killed_is_replaced_while_the_others_serve(database: str) -> None:
    with serving("--database", database, "--workers", "2") as (process, url):
        before = set(workers_of(process))
        for _ in range(2):
            os.kill(killed := max(workers_of(process)), signal.SIGKILL)
            wait_for(
                lambda: (len(workers_of(process)) == 2 and killed not in workers_of(process)) or None,
                PATIENCE_S,
                "another is started",
            )
            assert answers(url)
        assert set(workers_of(process)) != before
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
        assert process.stdout is not None
        said = process.stdout.read().splitlines()
    assert [line.split("; ")[1].rpartition(" in ")[0] for line in said] == ["another is started"] * 2
    assert all("was ended by SIGKILL" in line for line in said)


def test_a_worker_whose_event_loop_hangs_is_replaced(database: str) -> None:
    with serving(database, program=("-c", IMPATIENT)) as (process, url):
        os.kill(hung := workers_of(process)[0], signal.SIGSTOP)
        wait_for(
            lambda: (len(workers_of(process)) == 2 and hung not in workers_of(process)) or None,
            PATIENCE_S,
            "another is started",
        )
        assert all(answers(url) for _ in range(10))
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
        assert process.stdout is not None
        said = process.stdout.read().splitlines()
    about = [line for line in said if line.startswith(f"worker {hung} ")]
    assert about == [
        f"worker {hung} hangs: its event loop has not gone round for {HUNG_S:g} s; it is killed",
        f"worker {hung} was ended by SIGKILL; another is started in 0.1 s",
    ]


def test_a_worker_that_hangs_before_it_has_served_is_replaced(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    arguments = [sys.executable, "-c", HANGS_AT_ITS_START, str(starts)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        os.kill(workers_of(process)[0], signal.SIGKILL)
        wait_for(lambda: starts.read_text().count("one") == 3 or None, PATIENCE_S, "a third one is started")
        process.terminate()
        said = process.stdout.read().splitlines()
    assert [line.partition(" ")[2].partition(" ")[2] for line in said][:3] == [
        "was ended by SIGKILL; another is started in 0.1 s",
        "hangs: it has not begun to serve for 3 s; it is killed",
        "was ended by SIGKILL; another is started in 0.2 s",
    ]
    assert process.returncode == 0


def test_workers_that_were_stopped_together_with_their_supervisor_go_on(database: str) -> None:
    with serving(database, program=("-c", IMPATIENT)) as (process, url):
        before = workers_of(process)
        for pid in (process.pid, *before):
            os.kill(pid, signal.SIGSTOP)
        time.sleep(HUNG_S + 1)
        # The supervisor first: it finds that nobody has said anything for so long.
        for pid in (process.pid, *before):
            os.kill(pid, signal.SIGCONT)
            time.sleep(0.5)
        assert answers(url)
        assert workers_of(process) == before


def test_workers_end_when_their_supervisor_is_killed(database: str) -> None:
    with serving("--database", database, "--workers", "2") as (process, _):
        pids = workers_of(process)
        process.kill()
        wait_for(lambda: not any(map(is_alive, pids)) or None, PATIENCE_S, "the workers end")


def test_a_worker_that_cannot_serve_at_the_start_ends_the_server(tmp_path: Path) -> None:
    done = run("serve", "--port", "0", "--workers", "2", "--database", f"sqlite:///{tmp_path / 'new.db'}")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("kvmfaults-server: there is no file ")


@pytest.mark.parametrize("number", ["0", "65", "-1", "two", "1.5"])
def test_what_is_no_number_of_workers_is_refused(database: str, number: str) -> None:
    done = run("serve", "--port", "0", f"--workers={number}", "--database", database)
    assert done.returncode == 2
    assert done.stderr == f"kvmfaults-server: workers {number!r} is not a number from 1 to 64\n"


def test_a_page_hears_of_every_batch_whichever_worker_takes_it(database: str, store: Store) -> None:
    text = new_token(TokenKind.INGEST)
    store.add_token(Token(hash_token(text), TokenKind.INGEST, "host-1"))
    with (
        serving("--database", database, "--workers", "3", "--no-collector") as (_, url),
        watching(url) as next_hosts,
    ):
        for sequence in range(12):
            assert hand_in(url, text, make_batch(sequence))
            assert next_hosts() == ["host-1"]


def test_workers_share_what_a_machine_bears_and_no_one_can_take_all_of_one() -> None:
    whole = Limits()
    assert Limits.of_each(1) == whole
    for workers in (2, 3, 4, 16, 64):
        limits = Limits.of_each(workers)
        assert limits.reading > limits.reading_of_client >= 1
        assert limits.waiting > limits.waiting_of_client
        assert limits.ingesting > 2  # quotas.AT_ONCE of one host
        assert limits.ingesting * workers <= max(whole.ingesting + workers, 3 * workers)
        assert limits.failing_logins * workers <= max(whole.failing_logins + workers, workers)


def test_batches_that_come_to_several_workers_at_once_are_all_stored(database: str, store: Store) -> None:
    hosts = [f"host-{number}" for number in range(4)]
    tokens = {}
    for host in hosts:
        tokens[host] = new_token(TokenKind.INGEST)
        store.add_token(Token(hash_token(tokens[host]), TokenKind.INGEST, host))
    taken: list[bool] = []
    with serving("--database", database, "--workers", "3", "--no-collector") as (_, url):

        def send(host: str) -> None:
            for sequence in range(20):
                batch = make_batch(sequence, host=make_host(host), stream=host.encode().hex().zfill(32))
                taken.append(hand_in(url, tokens[host], batch))

        threads = [threading.Thread(target=send, args=(host,)) for host in hosts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert taken == [True] * 80
    # Not by how often a host changed: a job of the server's may change it too.
    accounts = store.batch_accounts(None)
    assert {account.host: (account.stored, account.under_way) for account in accounts} == dict.fromkeys(
        hosts, (20, 0)
    )
