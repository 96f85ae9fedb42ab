# SPDX-License-Identifier: Apache-2.0
"""What a round of judging alerts' rules costs: 20 rules of 1,000 VMs on 20 hosts, in an SQLite database.

The VMs have faulted for half an hour. Before each round the hosts hand in what they counted since the one
before. The time is the process's CPU time of a round: another process's work does not count. The statements
are those of one round.

    python -m bench.alerts [--vms 1000] [--rules 20] [--rounds 20]
"""

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from statistics import median, quantiles

from backend.jobs.alerts import AlertsJob
from backend.jobs.runner import Job, Outcome, Runner
from backend.query.alerts.rules_file import default_rules
from backend.store import open_store
from backend.store.contract.store import Store
from backend.store.sql.migrate import migrate
from bench.markdown import table
from faultmodel.record import Span
from tests.backend.alerts.rules import rule_text
from tests.backend.serving import Clock
from tests.backend.store.statements import asked
from tests.batches import NS_PER_S, START_NS, fault_count, make_batch, make_host, make_vm

HOSTS = 20
_EVERY_S = 15
_BATCH_S = 300
_HISTORY_S = 1800
_MORE = (
    {"watch": '"faults"', "above": '"{least}/s"', "over": '"1m"', "vm": '"web-*"'},
    {"watch": '"faults"', "above": '"50x"', "past": '"hour"', "at_least": '"{least}/s"'},
    {"watch": '"faults"', "below": '"0.001x"', "past": '"week"'},
    {"watch": '"exits"', "reason": '"mmio"', "above": '"{least}/s"', "host": '"host-1*"'},
    {"watch": '"memory_fault_exits"', "above": '"{least}/s"', "over": '"15m"', "arch": '"x86_64"'},
)
"""Beside the default rules, over and over with other thresholds."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vms", type=int, default=1000)
    parser.add_argument("--rules", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    os.umask(0o077)
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/kvmfaults.db"
        migrate(url)
        rules = Path(folder) / "rules.toml"
        rules.write_text(_rules(options.rules))
        with closing(open_store(url)) as store:
            took_ms, statements = _measure(store, rules, options.vms, options.rounds)
    head = ["VMs", "rules", "first round, ms", "median, ms", "90 % below, ms", "statements"]
    times_ms = (took_ms[0], median(took_ms[1:]), quantiles(took_ms[1:], n=10)[-1])
    row = [f"{options.vms:,}", str(options.rules), *(f"{one:.0f}" for one in times_ms), str(statements)]
    print("\n".join(table([head, row])))


def _rules(number: int) -> str:
    texts = []
    for place in range(number - len(default_rules())):
        fields = {
            name: value.replace("{least}", str(10**6 + place))
            for name, value in _MORE[place % len(_MORE)].items()
        }
        text = rule_text(name=f'"more-{place}"', **fields)
        texts.append(text if "above" in fields else text.replace('above = "100/s"\n', ""))
    return "\n".join(texts)


def _measure(store: Store, rules: Path, vms: int, rounds: int) -> tuple[Sequence[float], int]:
    hosts = [
        (
            make_host(f"host-{host}", boot_id=f"boot-{host}"),
            [
                make_vm(f"{vm:016x}", name=f"web-{vm}", uuid="", pid=vm)
                for vm in range(host + 1, vms + 1, HOSTS)
            ],
        )
        for host in range(HOSTS)
    ]
    sequence = 0

    def deliver(from_s: int, to_s: int) -> None:
        nonlocal sequence
        for number, (host, of_host) in enumerate(hosts):
            batch = make_batch(
                sequence,
                host=host,
                stream=f"{number:032x}",
                vms=of_host,
                covered=(Span(START_NS + from_s * NS_PER_S, START_NS + to_s * NS_PER_S),),
                fault_counts=[fault_count(vm.id, second=to_s - 1, faults=100) for vm in of_host],
                ledger=(),
            )
            assert store.apply(batch, START_NS + to_s * NS_PER_S)
        sequence += 1

    now_s = 0
    for now_s in range(_BATCH_S, _HISTORY_S + 1, _BATCH_S):
        deliver(now_s - _BATCH_S, now_s)
    job = Job(name="alerts", every_s=_EVERY_S, within_s=600, work=AlertsJob(rules))
    took_ms = []
    for _ in range(rounds + 1):
        deliver(now_s, now_s + _EVERY_S)
        now_s += _EVERY_S
        clock = Clock(START_NS + now_s * NS_PER_S)
        runner = Runner(store, [], now_ns=clock)
        with asked() as statements:
            began_ns = time.process_time_ns()
            assert runner.run_if_due(job) is Outcome.DONE
            took_ms.append((time.process_time_ns() - began_ns) / 1e6)
    return took_ms, len(statements)


if __name__ == "__main__":
    main()
