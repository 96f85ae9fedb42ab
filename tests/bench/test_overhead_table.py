# SPDX-License-Identifier: Apache-2.0
"""The table of what tracers cost: each turn is compared with the same turn without a tracer."""

from bench.overhead.run_time import RunTime
from bench.overhead.table import lines
from bench.overhead.turns import Taken

NOTHING = Taken(cpu_ns=[4000, 9000, 5000], wall_ns=[4100, 9100, 5100])
FLOOR = Taken(cpu_ns=[4100, 9100, 5100], wall_ns=[4100, 9100, 5100], run_time=RunTime(2500, 50))


def test_a_disturbed_turn_changes_nothing_that_is_added() -> None:
    tracer = Taken(
        cpu_ns=[4250, 9250, 5250],
        wall_ns=[4400, 9400, 5400],
        reported=[1.0, 0.5, 1.2],
        run_time=RunTime(9500, 100),
    )
    assert lines(["none", "floor", "ours"], [NOTHING, FLOOR, tracer], {}) == [
        "|       | CPU ns/fault | added |  quartiles | limit | floors | by the clock | reported | ns/run |",
        "| ----- | -----------: | ----: | ---------: | ----: | -----: | -----------: | -------: | -----: |",
        "| none  |        5,000 |       |            |       |        |              |          |        |",
        "| floor |        5,100 |   100 | 100 to 100 |       |    1.0 |            0 |          |     50 |",
        "| ours  |        5,250 |   250 | 250 to 250 |       |    2.5 |          300 |    50.0% |     95 |",
    ]


def test_a_limit_follows_from_what_others_add() -> None:
    ours = Taken(cpu_ns=[4130, 9130, 5130], wall_ns=[4130, 9130, 5130])
    row = lines(
        ["none", "floor", "ours"], [NOTHING, FLOOR, ours], {"ours": lambda added: added["floor"] + 60}
    )
    assert row[-1].split("|")[3:6] == ["   130 ", " 130 to 130 ", "   160 "]


def test_a_tracer_that_was_refused_is_named_below() -> None:
    refused = Taken(refused="refused: Operation not permitted")
    assert lines(["none", "floor", "theirs"], [NOTHING, FLOOR, refused], {})[-1] == (
        "theirs: refused: Operation not permitted"
    )


def test_a_floor_that_is_lost_in_the_noise_divides_nothing() -> None:
    lost = Taken(cpu_ns=[4000, 8900, 5000], wall_ns=[4000, 8900, 5000])
    assert "lost in the noise" in lines(["none", "floor"], [NOTHING, lost], {})[3]
