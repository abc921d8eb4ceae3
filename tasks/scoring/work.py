"""What a worker does of a run: some of its shards, as a run in one process does them all."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from tasks.actions.outboxes import Outboxes
from tasks.scoring.batch import BatchScorer
from tasks.scoring.destination import Destination, destination
from tasks.scoring.joined import joined
from tasks.scoring.ledger import Entry
from tasks.scoring.outputs import Output
from tasks.scoring.reading import Reading
from tasks.scoring.run import Run
from tasks.scoring.shards import Span


@dataclass(frozen=True)
class Done:
    """The shards of a span."""

    entries: Mapping[str, Entry]
    seconds: Mapping[str, float]
    """Of reading, scoring and writing, which overlap."""


@dataclass(frozen=True)
class Work:
    """A run as its workers are told of it, once each."""

    scorer: BatchScorer
    reading: Reading
    wanted: Output
    schemas: Mapping[str, pa.Schema]
    outboxes: Outboxes | None
    threads: int = 1
    """Of each worker."""

    def do(self, span: Span) -> Done:
        """What is missing of a span, entered in the ledger shard by shard.

        Raises what a run in one process raises, and OutsideError where this machine does not see what the run writes.
        """
        if self.outboxes:
            self.outboxes.require()
        self.scorer.use_threads(self.threads)
        with joined(self.wanted, self.scorer.stamp.run_id, self.schemas) as output:
            run = Run(self.scorer, output, output.done(span), outboxes=self.outboxes)
            run.go(self.reading.within(span), lambda _: None)
        return Done(run.done, run.seconds)


def found_anywhere(wanted: Output) -> Output:
    """The output under a name that does not depend on the folder that a process is in."""
    return destination(wanted.output.absolute()) if isinstance(wanted, Destination) else wanted
