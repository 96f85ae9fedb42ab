# SPDX-License-Identifier: Apache-2.0
"""What happens in a run. An action's steps are what it does, with the seconds that pass between them."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Self

from tests.soak.stage import INTERVAL_S, Stage

Steps = Iterator[float]
"""Does a step, and yields how many seconds to wait before the next."""
_WHILE_STARTING = 0.25
"""As many kills do not wait until what they hit is at work."""


@dataclass(frozen=True, kw_only=True)
class Action(ABC):
    """Something that happens once. ``str`` says what, in one line."""

    @classmethod
    @abstractmethod
    def drawn(cls, random: Random) -> Self:
        """Return one of this kind."""

    @abstractmethod
    def steps(self, stage: Stage) -> Steps:
        """Do it."""


@dataclass(frozen=True, kw_only=True)
class KillServer(Action):
    """SIGKILL, and a new server after a while."""

    seconds: float
    starting: bool
    """Whether it may hit a server that is only just starting."""

    @classmethod
    def drawn(cls, random: Random) -> Self:
        """Return one after which a new server starts soon, or only when some batches have waited."""
        return cls(seconds=random.uniform(0.05, 1.5), starting=random.random() < _WHILE_STARTING)

    def steps(self, stage: Stage) -> Steps:
        """Kill, wait, start."""
        if not self.starting:
            yield from stage.until(stage.server_answers)
        stage.kill_server()
        yield self.seconds
        stage.start_server()

    def __str__(self) -> str:
        which = "server, even if it is starting" if self.starting else "server"
        return f"kill the {which}; start it after {self.seconds:.2f} s"


@dataclass(frozen=True, kw_only=True)
class KillCollector(Action):
    """SIGKILL at some moment between two readings, and a new collector after a while."""

    away_s: float
    phase: float
    """Of the interval between two readings, 0 to 1."""
    starting: bool
    """Whether it may hit a collector that is only just starting."""

    @classmethod
    def drawn(cls, random: Random) -> Self:
        """Return one, every other time just behind a reading, when batches are cut and stored."""
        away_s = random.choice((0.0, random.uniform(0.0, 2.5)))
        phase = random.choice((random.uniform(0.0, 0.2), random.uniform(0.0, 1.0)))
        starting = random.random() < _WHILE_STARTING
        return cls(away_s=away_s, phase=phase, starting=starting)

    def steps(self, stage: Stage) -> Steps:
        """Wait for the moment, kill, wait, start."""
        if not self.starting:
            yield from stage.until(stage.collector_reads)
            yield stage.clock.until_phase(INTERVAL_S, self.phase)
        stage.kill_collector()
        yield self.away_s
        stage.start_collector()

    def __str__(self) -> str:
        where = f"at {self.phase:.0%} of a reading's interval"
        which = "collector, even if it is starting" if self.starting else f"collector {where}"
        return f"kill the {which}; start it after {self.away_s:.2f} s"


@dataclass(frozen=True, kw_only=True)
class HandOver(Action):
    """A collector makes room for the next in order, as in an upgrade."""

    @classmethod
    def drawn(cls, random: Random) -> Self:
        """Return one; there is nothing to choose."""
        return cls()

    def steps(self, stage: Stage) -> Steps:
        """Ask the old one to end, wait until it has, start the new one."""
        yield from stage.until(stage.collector_reads)
        stage.ask_to_hand_over()
        yield from stage.until(stage.has_no_collector)
        stage.start_collector()

    def __str__(self) -> str:
        return "hand over to a new collector"


@dataclass(frozen=True, kw_only=True)
class FillDisk(Action):
    """The file system under the spool has no room for a while."""

    seconds: float

    @classmethod
    def drawn(cls, random: Random) -> Self:
        """Return one that may be long enough for a kill to fall into it."""
        return cls(seconds=random.uniform(0.5, 5.0))

    def steps(self, stage: Stage) -> Steps:
        """Fill, wait, free."""
        if stage.disk is not None:
            stage.disk.fill()
            yield self.seconds
            stage.disk.free()

    def __str__(self) -> str:
        return f"fill the disk under the spool for {self.seconds:.2f} s"


@dataclass(frozen=True, kw_only=True)
class StopDatabase(Action):
    """The database does not answer, or is gone, for a while."""

    seconds: float
    crashes: bool

    @classmethod
    def drawn(cls, random: Random) -> Self:
        """Return one of either kind."""
        return cls(seconds=random.uniform(0.2, 4.0), crashes=random.random() < 0.5)

    def steps(self, stage: Stage) -> Steps:
        """Stop, wait, start."""
        with stage.database_away():
            (stage.database.crash if self.crashes else stage.database.suspend)()
            yield self.seconds
            (stage.database.restart if self.crashes else stage.database.resume)()

    def __str__(self) -> str:
        return f"{'crash' if self.crashes else 'suspend'} the database for {self.seconds:.2f} s"


@dataclass(frozen=True, kw_only=True)
class RepeatBatches(Action):
    """Batches that the server has are sent again, in any order."""

    count: int

    @classmethod
    def drawn(cls, random: Random) -> Self:
        """Return one of some batches."""
        return cls(count=random.randint(1, 30))

    def steps(self, stage: Stage) -> Steps:
        """Send them."""
        stage.relay.repeat(self.count, stage.random)
        yield 0.0

    def __str__(self) -> str:
        return f"send {self.count} batches again, each twice"


@dataclass(frozen=True, kw_only=True)
class LoseAnswers(Action):
    """The server takes batches, and the collector does not hear of it."""

    count: int

    @classmethod
    def drawn(cls, random: Random) -> Self:
        """Return one of some answers."""
        return cls(count=random.randint(1, 2))

    def steps(self, stage: Stage) -> Steps:
        """Lose them."""
        stage.relay.lose_answers(self.count)
        yield 0.0

    def __str__(self) -> str:
        return f"lose the next {self.count} answers to batches"


@dataclass(frozen=True, kw_only=True)
class DelayBatches(Action):
    """Batches are kept on their way, and then come all at once and out of order."""

    seconds: float

    @classmethod
    def drawn(cls, random: Random) -> Self:
        """Return one that may be long enough for a kill to fall into it."""
        return cls(seconds=random.uniform(0.5, 4.0))

    def steps(self, stage: Stage) -> Steps:
        """Keep, wait, let go."""
        stage.relay.delay()
        yield self.seconds
        stage.relay.deliver_delayed(stage.random)

    def __str__(self) -> str:
        return f"keep batches for {self.seconds:.2f} s, deliver them out of order"


@dataclass(frozen=True, kw_only=True)
class JumpClock(Action):
    """The collector's wall clock jumps."""

    forward: bool

    @classmethod
    def drawn(cls, random: Random) -> Self:
        """Return one either way."""
        return cls(forward=random.random() < 0.5)

    def steps(self, stage: Stage) -> Steps:
        """Jump."""
        stage.clock.jump(forward=self.forward)
        yield 0.0

    def __str__(self) -> str:
        return f"the collector's clock jumps to an hour {'after' if self.forward else 'before'} all it showed"


@dataclass(frozen=True, kw_only=True)
class CutBatch(Action):
    """A batch that waits in the spool is cut off, as by a disk that fails."""

    seconds: float

    @classmethod
    def drawn(cls, random: Random) -> Self:
        """Return one before which some batches have to wait."""
        return cls(seconds=random.uniform(1.0, 3.0))

    def steps(self, stage: Stage) -> Steps:
        """Have batches wait, cut one off, let them go."""
        stage.relay.refuse(True)
        yield self.seconds
        stage.cut_a_batch()
        stage.relay.refuse(False)

    def __str__(self) -> str:
        return f"refuse batches for {self.seconds:.2f} s, then cut one off in the spool"


@dataclass(frozen=True, kw_only=True)
class PassingGuest(Action):
    """A guest comes and goes, perhaps while nobody reads."""

    faults: int

    @classmethod
    def drawn(cls, random: Random) -> Self:
        """Return one with few faults or many."""
        return cls(faults=random.choice((1, 101, 10_007)))

    def steps(self, stage: Stage) -> Steps:
        """Start it."""
        stage.guests.start_passing(faults=self.faults)
        yield 0.0

    def __str__(self) -> str:
        return f"a guest comes, faults {self.faults} times in each way, and goes"
