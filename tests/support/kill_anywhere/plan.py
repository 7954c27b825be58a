"""Which kills there are to be."""

import random
import re
from collections import defaultdict
from collections.abc import Iterator

from kill_anywhere.bench import WORKERS, Bench
from kill_anywhere.trial import Trial

STEP = 'SIGKILL at a step of a write'
MOMENT = 'SIGKILL at a random moment'
RESUMING = 'SIGKILL at a step of a write while resuming'
EARLIER = 'SIGKILL while an earlier run is set aside'
POWER_CUT = 'power cut at a step of a write'
# Of a hundred kills; the power cuts come on top of them.
SHARES = {STEP: 50, MOMENT: 30, RESUMING: 15, EARLIER: 5, POWER_CUT: 25}
# Killed with half of this file written, a run has an epoch to resume from.
MIDWAY = 'write epoch_2.pth 1'
AGAIN = 0.3  # of the runs are killed while resuming as well


def kind_of(step: str) -> str:
    """A step without its number and that of the epoch."""
    return re.sub(r'\d+', 'N', step.rpartition(' ')[0])


class Plan:
    """Draws trials without end."""

    def __init__(self, bench: Bench, seed: int) -> None:
        self.bench = bench
        self.random = random.Random(seed)
        self.steps: dict[str, Iterator[str]] = {}

    def _shuffled(
        self, steps: list[str], last: list[str] = ()
    ) -> Iterator[str]:
        """One of each kind of step, over and over; those of `last` late."""
        kinds = defaultdict(list)
        for step in steps:
            kinds[kind_of(step)].append(step)
        order = self.random.sample(sorted(kinds), len(kinds))
        late = set(map(kind_of, last))
        order.sort(key=lambda kind: kind in late)
        while True:
            for kind in order:
                yield self.random.choice(kinds[kind])

    def _step(self, what: str) -> str:
        if what not in self.steps:
            if what == RESUMING:
                steps = self.bench.steps_of_resuming(MIDWAY)
                # What only resuming does comes first.
                order = self._shuffled(steps, last=self.bench.steps)
            elif what == EARLIER:
                steps = self.bench.steps_over_earlier()
                order = self._shuffled([s for s in steps if 'earlier/' in s])
            else:
                order = self._shuffled(self.bench.steps)
            self.steps[what] = order
        return next(self.steps[what])

    def draw(self, what: str) -> Trial:
        kills = [MIDWAY] if what == RESUMING else []
        kills.append(
            self.random.random() if what == MOMENT else self._step(what)
        )
        workers, over = self.random.choice(WORKERS), None
        if what == EARLIER:
            # The same command again, or one with another seed.
            finished = (self.bench.whole(workers), self.bench.other_seed)
            over = self.random.choice(finished)
        elif what != RESUMING and self.random.random() < AGAIN:
            kills.append(self.random.random())
        return Trial(
            what, workers, kills, power_cut=what == POWER_CUT, over=over
        )
