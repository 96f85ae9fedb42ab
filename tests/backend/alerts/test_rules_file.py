# SPDX-License-Identifier: Apache-2.0
"""The file of the rules: what it may say, and what is said of one that is wrong."""

from pathlib import Path

import pytest

from backend.__main__ import main
from backend.query.alerts.rules import Comparison, Past
from backend.query.alerts.rules_file import check_rules, default_rules
from tests.backend.alerts.rules import rule_text

TOP = Path(__file__).parents[3]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the path of a file that is yet to be written."""
    return tmp_path / "rules.toml"


def problems(text: str) -> list[str]:
    """Return what is wrong with a file."""
    return [problem.words for problem in check_rules(text).problems]


def problem(**fields: str) -> str:
    """Return the one thing that is wrong with a rule."""
    (found,) = problems(rule_text(**fields))
    return found


def test_the_default_rules_are_on_and_each_has_its_page() -> None:
    rules = check_rules("").rules
    assert [rule.name for rule in rules] == [rule.name for rule in default_rules()]
    for rule in rules:
        assert rule.is_default
        assert (TOP / rule.runbook).is_file(), rule.runbook


def test_a_rule_has_every_field() -> None:
    (rule,) = check_rules(
        "defaults = false\n"
        + rule_text(
            watch='"exits"',
            reason='"mmio"',
            errno="14",
            above='"3/min"',
            over='"15m"',
            for_='"90s"',
            severity='"critical"',
            host='"host-*"',
            vm='["db-*", "00000000000000a1"]',
            arch='["arm64"]',
            runbook='"https://wiki.example/it"',
        )
    ).rules
    assert (rule.reason, rule.errno, rule.threshold, rule.comparison) == (6, 14, 0.05, Comparison.ABOVE)
    assert (rule.over_s, rule.for_s, rule.runbook) == (900, 90, "https://wiki.example/it")
    assert rule.words() == (
        "of every VM with host host-* and vm db-* or 00000000000000a1 and arch arm64: exits to user space of"
        " reason KVM_EXIT_MMIO with errno EFAULT within 15m above 0.05/s, for 90s"
    )


def test_a_rule_may_be_held_against_the_past() -> None:
    (rule,) = check_rules(
        "defaults = false\n" + rule_text(above='"2.5x"', past='"week"', at_least='"100/s"')
    ).rules
    assert (rule.times, rule.past, rule.threshold) == (2.5, Past.WEEK, 100)
    assert rule.words().endswith("within 5m above 2.5 times those of the week before, and 100/s")


def test_a_default_rule_is_switched_off_or_replaced_by_its_name() -> None:
    off = check_rules('[[rule]]\nname = "livelock"\nenabled = false\n')
    assert (off.problems, "livelock" in {rule.name for rule in off.rules}) == ([], False)

    own = check_rules(rule_text(name='"livelock"', watch='"livelocks"', above="3"))
    (rule,) = [rule for rule in own.rules if rule.name == "livelock"]
    assert (rule.threshold, rule.is_default) == (3, False)
    assert len(own.rules) == len(default_rules())

    assert check_rules("defaults = false").rules == []


def test_pages_lie_where_the_file_says() -> None:
    rules = check_rules('runbooks = "https://wiki.example/kvm/"\n' + rule_text(runbook='"own"')).rules
    assert rules[-1].runbook == "https://wiki.example/kvm/own"
    assert rules[0].runbook == "https://wiki.example/kvm/bare-error-exits"


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"name": '"Own"'}, "line 2, rule 1, name: write a name of small letters"),
        ({"watch": '"fault"'}, "watch: 'fault' is none of them: did you mean faults? There are faults, "),
        ({"watch": "3"}, "watch: 3 is none of them: write one of faults, "),
        ({"above": '"3"'}, """above: '3' is no threshold for faults: write "100/s", "3/min" or "1/h\""""),
        ({"above": "true"}, "above: 'True' is no threshold for faults"),
        ({"watch": '"livelocks"', "above": '"1/s"'}, "is no threshold for livelocks: write a number, as 0"),
        ({"watch": '"gap"', "above": "30"}, """is no threshold for gap: write "30s", "5m", "2h" or "1d\""""),
        ({"below": '"3/s"'}, "below: write one of above and below"),
        ({"above": '"2x"'}, "past: it is missing: write one of hour, day, week"),
        ({"above": '"0x"', "past": '"day"'}, "above: 0 times the past is nothing"),
        ({"past": '"day"'}, "past: it goes with a threshold of so many times"),
        ({"at_least": '"3/s"'}, 'at_least: it goes with above = "10x"'),
        ({"watch": '"exits"', "above": '"2x"', "past": '"day"'}, "above: only faults, memory_fault_exits, "),
        ({"over": '"2m"'}, "over: write one of 1m, 5m, 15m, 1h"),
        ({"watch": '"livelocks"', "above": "0", "over": '"5m"'}, "livelocks is as it is now, over no time"),
        ({"for_": '"8d"'}, "for: '8d' is no time of whole seconds up to 7d"),
        ({"for_": "30"}, "for: '30' is no time of whole seconds up to 7d: write 30s, 5m, 2h or 1d"),
        ({"severity": '"page"'}, "severity: 'page' is none of them: write one of critical, warning, info"),
        ({"summary": '""'}, "summary: it is missing: say in a sentence"),
        ({"summary": '"a\\nb"'}, "summary: write a text of a line"),
        ({"runbook": '"a page"'}, "runbook: name the page that says what to do"),
        ({"reason": '"mmio"'}, 'reason: it goes with watch = "exits"'),
        (
            {"watch": '"exits"', "errno": '"EFALT"'},
            "errno: 'EFALT' is not an errno: write it as 14 or EFAULT",
        ),
        ({"watch": '"gap"', "above": '"3s"', "vm": '"db"'}, "vm: gap is of hosts, which are chosen by host"),
        ({"guest": '"db-*"'}, "guest: 'db-*' is no guest's id"),
        ({"host": "[]"}, "host: an empty list is of nobody"),
        ({"host": "[3]"}, 'host: write a text, or a list of texts, as host = ["...", "..."]'),
        ({"enabled": '"no"'}, "enabled: write true or false, without quotation marks"),
        ({"enabled": "false"}, "enabled: no default rule has this name"),
        ({"sevrity": '"info"'}, "sevrity: there is no such field: write severity"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said(fields: dict[str, str], said: str) -> None:
    assert said in problem(**fields)


def test_every_thing_that_is_wrong_is_said_with_its_line() -> None:
    text = rule_text(above='"3"', severity='"page"') + rule_text(name='"own"') + "[[rule]]\n"
    found = problems(text)
    assert [line.partition(": ")[0] for line in found] == [
        'line 7, rule "own", severity',
        'line 4, rule "own", above',
        'line 9, rule "own", name',
        *(f"line 14, rule 3, {name}" for name in ("name", "watch", "summary", "runbook")),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rule = 3", "rule: rules are tables of a list: begin each with [[rule]]"),
        ("rules = 3", "rules: there is no such field: write rule"),
        ("defaults = 1", "defaults: write true or false, without quotation marks"),
        ('runbooks = "wiki"', "runbooks: write the http or https address of the folder"),
        ("a = [\n", "this is no TOML: Invalid value"),
        ("a = 1\nb = =", "line 2: this is no TOML: Invalid value"),
    ],
)
def test_what_is_wrong_with_the_file_is_said(text: str, said: str) -> None:
    (found,) = problems(text)
    assert found.startswith(said)


def test_a_bound_on_the_rules() -> None:
    text = "".join(rule_text(name=f'"own-{number}"') for number in range(201))
    assert "rule: there are 201 rules, more than 200" in problems(text)[0]


def test_the_command_shows_what_each_rule_watches(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(rule_text(vm='"db-*"'))
    assert main(("alerts", "check", str(file))) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[-1] == "own (warning): of every VM with vm db-*: guest faults within 5m above 100/s"
    assert printed[0].startswith("bare-error-exits (critical, default): of every VM: bare error exits within")


def test_the_command_tells_a_wrong_file_from_one_that_cannot_be_read(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(("alerts", "check", str(file))) == 2
    assert "cannot be read: No such file or directory" in capsys.readouterr().err
    file.write_bytes(b"\xff")
    assert main(("alerts", "check", str(file))) == 2
    assert "are no UTF-8 text" in capsys.readouterr().err
    file.write_text(rule_text(above="3"))
    assert main(("alerts", "check", str(file))) == 1
    printed = capsys.readouterr()
    assert (printed.out, len(printed.err.splitlines())) == ("", 1)
