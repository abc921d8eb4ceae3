"""When to try, and when to stop trying: pauses that grow, and one test for all where nobody answers."""

import random
import threading
import time
from dataclasses import dataclass
from enum import Enum

from tasks.actions.letters import Answer


@dataclass(frozen=True)
class Pace:
    """How patiently letters are sent."""

    first: float = 0.5
    """Seconds of the first pause; each further one is twice as long."""
    longest: float = 30.0
    """Seconds of a pause at most."""
    asked: float = 300.0
    """Seconds at most that the other side may ask to wait."""
    silences: int = 10
    """Tries in a row without an answer, over all letters, after which one try at a time looks whether it is back."""
    probes: int = 7
    """Such tries, a minute together, after which it is given up."""
    threads: int = 8
    """Letters on their way at once."""

    def pause(self, failures: int) -> float:
        """Seconds after so many failures; random within a factor of two, so that not all come back at once."""
        return min(self.longest, self.first * 2.0 ** min(failures, 30)) * random.uniform(0.5, 1.0)


class Trial(Enum):
    """What a try is for."""

    USUAL = "usual"
    PROBE = "probe"
    """It looks whether the other side is back, and does not count against its letter."""
    NONE = "none"
    """The other side is given up."""


class Circuit:
    """One for all threads that send to the same place; it opens where nobody answers (Nygard, Release It!, 2018)."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._change = threading.Condition()
        self._silent = self._probes = 0
        self._until = 0.0
        self._probing = self._over = False
        self._reason = ""

    def enter(self) -> Trial:
        """What the next try is for; waits while another thread looks whether the other side is back."""
        with self._change:
            while not self._over:
                if self._silent < self._pace.silences:
                    return Trial.USUAL
                wait = self._until - time.monotonic()
                if wait <= 0 and not self._probing:
                    self._probing = True
                    return Trial.PROBE
                self._change.wait(wait if wait > 0 else None)
            return Trial.NONE

    def tell(self, trial: Trial, answer: Answer) -> None:
        """Remembers what came of a try."""
        with self._change:
            if trial is Trial.PROBE:
                self._probing = False
            if answer.silent:
                self._count_silence(trial, answer.reason)
            else:
                self._silent = self._probes = 0
            self._change.notify_all()

    def _count_silence(self, trial: Trial, reason: str) -> None:
        self._silent, self._reason = self._silent + 1, reason
        if trial is Trial.PROBE:
            self._probes += 1
            self._over = self._over or self._probes >= self._pace.probes
        if trial is Trial.PROBE or self._silent == self._pace.silences:
            self._until = time.monotonic() + self._pace.pause(self._probes)

    def pause(self, seconds: float) -> None:
        """Waits, unless all is over."""
        with self._change:
            self._change.wait_for(lambda: self._over, seconds)

    def verdict(self) -> Answer:
        """What is said of letters that are not tried any more."""
        return Answer(False, f"given up after {self._silent} tries in a row, the last: {self._reason}")

    def end(self) -> None:
        """Lets nobody wait or try any more."""
        with self._change:
            self._over = True
            self._change.notify_all()
