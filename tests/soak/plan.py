"""Says what happens when: the same for the same seed."""

from dataclasses import dataclass
from random import Random

from tests.soak import actions
from tests.soak.actions import Action

_BETWEEN_KILLS_S = (0.2, 4.5)
_BETWEEN_OTHERS_S = (0.5, 6.0)
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
    """An action and the second of the run in which it begins."""

    at_s: float
    action: Action


def make_plan(seed: int, kills: int, *, damage: bool) -> tuple[Planned, ...]:
    """Return a plan in the order of time. Actions of one kind follow one another, those of others overlap.

    :param kills: of server and collector together
    :param damage: whether batches are damaged, too: the only thing after which some may be missing
    """
    random = Random(seed)
    plan = [
        *_kills(random, actions.KillCollector, kills - kills // 2),
        *_kills(random, actions.KillServer, kills // 2),
    ]
    length_s = max(planned.at_s for planned in plan)
    for kind in (*_OTHERS, *((actions.CutBatch,) if damage else ())):
        plan += _until(random, kind, length_s)
    return tuple(sorted(plan, key=lambda planned: planned.at_s))


def _kills(random: Random, kind: type[Action], count: int) -> list[Planned]:
    plan, at_s = [], 0.0
    for _ in range(count):
        at_s += random.uniform(*_BETWEEN_KILLS_S)
        plan.append(Planned(at_s, kind.drawn(random)))
        at_s += plan[-1].action.seconds
    return plan


def _until(random: Random, kind: type[Action], length_s: float) -> list[Planned]:
    plan, at_s = [], random.uniform(*_BETWEEN_OTHERS_S)
    while at_s < length_s:
        plan.append(Planned(at_s, kind.drawn(random)))
        at_s += plan[-1].action.seconds + random.uniform(*_BETWEEN_OTHERS_S)
    return plan
