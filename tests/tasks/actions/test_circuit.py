"""Pauses grow, and a place where nobody answers is looked at by one thread at a time, until it is given up."""

import threading
import time

import pytest

from tasks.actions.circuit import Circuit, Pace, Trial
from tasks.actions.letters import Answer

SILENCE = Answer(False, "no answer", passing=True, silent=True)
BUSY = Answer(False, "answered 500", 500, passing=True)
PACE = Pace(first=0.02, longest=0.04, silences=3, probes=2)


def opened() -> Circuit:
    circuit = Circuit(PACE)
    for _ in range(PACE.silences):
        assert circuit.enter() is Trial.USUAL
        circuit.tell(Trial.USUAL, SILENCE)
    return circuit


@pytest.mark.parametrize(("failures", "seconds"), [(0, 0.5), (1, 1), (3, 4), (6, 30), (10_000, 30)])
def test_a_pause_is_twice_the_one_before_up_to_a_limit(failures: int, seconds: float) -> None:
    pauses = [Pace().pause(failures) for _ in range(200)]
    assert seconds / 2 <= min(pauses) < max(pauses) <= seconds


def test_an_answer_of_any_kind_breaks_the_silence() -> None:
    circuit = Circuit(PACE)
    for answer in [SILENCE, SILENCE, BUSY, SILENCE, SILENCE, Answer(True), SILENCE, SILENCE]:
        assert circuit.enter() is Trial.USUAL
        circuit.tell(Trial.USUAL, answer)
    assert circuit.enter() is Trial.USUAL


def test_one_thread_looks_while_the_others_wait_and_all_go_on_when_it_is_answered() -> None:
    circuit, found = opened(), []
    started = time.monotonic()
    assert circuit.enter() is Trial.PROBE
    assert time.monotonic() - started >= PACE.first / 2
    others = [threading.Thread(target=lambda: found.append(circuit.enter())) for _ in range(5)]
    for thread in others:
        thread.start()
    time.sleep(2 * PACE.longest)
    assert found == []
    circuit.tell(Trial.PROBE, Answer(True))
    for thread in others:
        thread.join(5)
    assert found == [Trial.USUAL] * 5


def test_it_is_given_up_for_all_after_some_looks() -> None:
    circuit = opened()
    for _ in range(PACE.probes):
        assert circuit.enter() is Trial.PROBE
        circuit.tell(Trial.PROBE, SILENCE)
    assert circuit.enter() is Trial.NONE
    assert circuit.verdict() == Answer(False, "given up after 5 tries in a row, the last: no answer")


def test_nobody_waits_any_more_when_it_ends() -> None:
    circuit = Circuit(Pace(first=60, longest=60, silences=1))
    circuit.tell(circuit.enter(), SILENCE)
    found: list[Trial] = []
    waiting = [threading.Thread(target=lambda: found.append(circuit.enter()))]
    waiting.append(threading.Thread(target=circuit.pause, args=(60,)))
    for thread in waiting:
        thread.start()
    circuit.end()
    for thread in waiting:
        thread.join(5)
    assert found == [Trial.NONE] and not any(thread.is_alive() for thread in waiting)
