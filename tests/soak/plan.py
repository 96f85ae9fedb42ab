# SPDX-License-Identifier: Apache-2.0
"""Says what happens, and after how long: the same for the same seed."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

from tests.soak import actions
from tests.soak.actions import Action

_BETWEEN_KILLS_S = (0.2, 4.5)
_BETWEEN_OTHERS_S = (0.5, 6.0)
_HAND_OVERS = 0.3
"""For each kill of the collector."""
_OTHERS: tuple[type[Action], ...] = (
    actions.FillDisk,
    actions.StopDatabase,
    actions.RepeatBatches,
    actions.LoseAnswers,
    actions.DelayBatches,
    actions.JumpClock,
    actions.PassingGuest,
)


@dataclass(frozen=True, slots=True)
class Planned:
    """An action, and how long it is after the end of the one before."""

    pause_s: float
    action: Action


Lane = Iterator[Planned]
"""Actions that follow one another. Those of different lanes overlap as it happens."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``kills`` are of bounded length; ``others`` are endless, and go on for as long as there are kills."""

    kills: tuple[Lane, ...]
    others: tuple[Lane, ...]


def make_plan(seed: int, kills: int, *, damage: bool) -> Plan:
    """Return a plan.

    :param kills: of server and collector together
    :param damage: whether batches are damaged, too: the only thing after which some may be missing
    """
    others: list[type[Action]] = [*_OTHERS, *([actions.CutBatch] if damage else [])]
    return Plan(
        (_collector(seed, kills - kills // 2), _server(seed, kills // 2)),
        tuple(_endless(Random(f"{seed} {kind.__name__}"), kind) for kind in others),
    )


def _collector(seed: int, kills: int) -> Lane:
    random = Random(f"{seed} collector")
    for _ in range(kills):
        if random.random() < _HAND_OVERS:
            yield Planned(random.uniform(*_BETWEEN_KILLS_S), actions.HandOver.drawn(random))
        yield Planned(random.uniform(*_BETWEEN_KILLS_S), actions.KillCollector.drawn(random))


def _server(seed: int, kills: int) -> Lane:
    random = Random(f"{seed} server")
    for _ in range(kills):
        yield Planned(random.uniform(*_BETWEEN_KILLS_S), actions.KillServer.drawn(random))


def _endless(random: Random, kind: type[Action]) -> Lane:
    while True:
        yield Planned(random.uniform(*_BETWEEN_OTHERS_S), kind.drawn(random))
