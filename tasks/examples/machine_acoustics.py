"""What slow machines sound like, whether their bearings are whole or not.

A spalled race is struck by every ball that passes, and each strike makes the housing ring: impacts at a rate that the
bearing's geometry gives, nearly but not quite periodic, since balls slip; a spot on the inner race moves through the
load once in a turn, so that its impacts swell and fade (Randall and Antoni 2011, "Rolling element bearing diagnostics -
a tutorial"). Something else knocks at random in every recording: only the rhythm tells.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

Floats = NDArray[np.float64]

RATE = 16_000
"""Samples a second, in one second of sound."""
TIME = np.arange(RATE) / RATE
FREQUENCIES = np.fft.rfftfreq(RATE, 1 / RATE)
LOWEST = 60.0
"""Hz below which the microphone hears little."""
SLIP = 0.02
"""Standard deviation of the time between two impacts, as a share of it."""
KNOCKS = 3.0
"""Strikes a second, on average, that have nothing to do with the bearing."""
AUDIBLE = 4.0
"""First swing of a strike that can just be heard, where the noise is white and of root mean square 1."""
SWELL = 0.2
"""Depth to which an imbalance of strength 1 makes the sound rise and fall in each turn."""


@dataclass(frozen=True)
class Machine:
    """What stays the same in all recordings with one machine."""

    name: str
    balls: int
    ratio: float
    """Diameter of a ball over that of the circle it runs on, times the cosine of the contact angle."""
    teeth: int
    resonance: float
    """Frequency at which the housing rings, Hz."""
    damping: float
    """Rate at which the ringing decays, 1/s."""
    shape: Floats
    """Amplitude spectrum of the machine's noise, at `FREQUENCIES`."""

    @property
    def outer(self) -> float:
        """Impacts in a turn of the shaft from a spot on the outer race (Randall and Antoni 2011)."""
        return self.balls / 2 * (1 - self.ratio)

    @property
    def inner(self) -> float:
        """Impacts in a turn of the shaft from a spot on the inner race (Randall and Antoni 2011)."""
        return self.balls / 2 * (1 + self.ratio)


@dataclass(frozen=True)
class Running:
    """What is different in each recording."""

    state: str
    strength: float
    """Of the fault, about 1 where it can just be heard; 0 for a healthy machine."""
    hall: float
    """Level of the surroundings, relative to that of the machine's own noise."""
    speed: float
    """Turns of the shaft a second."""
    load: float
    """Share of the full load."""


def draw_machine(name: str, random: np.random.Generator) -> Machine:
    """A machine with a bearing, gears and a voice of its own."""
    return Machine(
        name,
        balls=int(random.integers(7, 10)),
        ratio=random.uniform(0.18, 0.28),
        teeth=int(random.integers(19, 45)),
        resonance=random.uniform(1800, 6000),
        damping=random.uniform(350, 900),
        shape=_voice(random),
    )


def play(machine: Machine, running: Running, random: np.random.Generator) -> Floats:
    """One second of sound as the microphone hears it, [16000], within -1 and 1; how loud it is says nothing."""
    turns = _turns(running.speed, random)
    own = _coloured(machine.shape, random) + _tones(machine, turns, running.load, random)
    depth = random.uniform(0, 0.06) + SWELL * running.strength * (running.state == "imbalance")
    own *= 1 + min(depth, 0.9) * np.cos(2 * np.pi * (turns - random.random()))
    strikes = _knocks(random) + running.strength * (0.6 + 0.5 * running.load) * _impacts(
        machine, running, turns, random
    )
    hall = running.hall * _coloured(np.where(FREQUENCIES > LOWEST, (FREQUENCIES + 1) ** -0.5, 0), random)
    sound = own + _ringing(machine, strikes) + hall
    return np.asarray(sound / np.abs(sound).max() * 10 ** (random.uniform(-24, -1) / 20))


def _voice(random: np.random.Generator) -> Floats:
    """A spectrum that falls towards high frequencies and has four broad peaks."""
    centres, widths = random.uniform(200, 7000, (4, 1)), random.uniform(100, 900, (4, 1))
    peaks = random.uniform(0.5, 4, (4, 1)) * np.exp(-(((FREQUENCIES - centres) / widths) ** 2))
    fall = ((FREQUENCIES + LOWEST) / 1000) ** random.uniform(-0.7, -0.2)
    return np.asarray(np.where(FREQUENCIES > LOWEST, fall * (1 + peaks.sum(axis=0)), 0))


def _turns(speed: float, random: np.random.Generator) -> Floats:
    """Turns that the shaft has made at each sample, [16000]; its speed varies by one in a hundred."""
    wobble = 0.01 / (2 * np.pi) * np.sin(2 * np.pi * (TIME + random.random()))
    return np.asarray(speed * (TIME + wobble) + random.random())


def _coloured(shape: Floats, random: np.random.Generator) -> Floats:
    """Noise of that amplitude spectrum and of root mean square 1, [16000]."""
    real, imaginary = random.standard_normal((2, len(shape)))
    noise = np.fft.irfft((real + 1j * imaginary) * shape, RATE)
    return np.asarray(noise / noise.std())


def _tones(machine: Machine, turns: Floats, load: float, random: np.random.Generator) -> Floats:
    """The shaft with its harmonics and the mesh of the gears with its own, [16000]."""
    orders = np.array([1, 2, 3, 5, machine.teeth, 2 * machine.teeth, 3 * machine.teeth])
    loudness = np.array([0.15, 0.1, 0.08, 0.05, 0.5 * load, 0.25 * load, 0.12 * load])
    loudness = loudness * random.uniform(0.6, 1.4, len(orders))
    phases = orders[:, None] * turns + random.random((len(orders), 1))
    return np.asarray((loudness[:, None] * np.sin(2 * np.pi * phases)).sum(axis=0))


def _impacts(machine: Machine, running: Running, turns: Floats, random: np.random.Generator) -> Floats:
    """Strikes of the balls on a spot of either race, about 1 each, at the samples where they happen, [16000]."""
    if running.state not in ("outer race", "inner race"):
        return np.zeros(RATE)
    rate = machine.outer if running.state == "outer race" else machine.inner
    steps = np.maximum(1 + SLIP * random.standard_normal(int(rate * running.speed * 1.1) + 3), 0.5) / rate
    places = turns[0] + random.random() / rate + np.cumsum(steps) - steps[0]
    force = np.exp(0.12 * random.standard_normal(len(places)))
    if running.state == "inner race":
        force *= (0.5 + 0.5 * np.cos(2 * np.pi * (places - random.random()))) ** 1.5 * 1.6
    return _at(np.interp(places, turns, TIME, right=1.0), force)


def _knocks(random: np.random.Generator) -> Floats:
    """Strikes at random moments, as strong as those of a failing bearing, [16000]."""
    count = random.poisson(KNOCKS)
    return _at(random.random(count), random.uniform(0.5, 3, count))


def _at(seconds: Floats, force: Floats) -> Floats:
    """Impulses of that force at those moments, [16000]; what lies outside the second is left out."""
    inside = (seconds >= 0) & (seconds < 1)
    impulses = np.zeros(RATE)
    np.add.at(impulses, (seconds[inside] * RATE).astype(np.int64), force[inside])
    return impulses


def _ringing(machine: Machine, impulses: Floats) -> Floats:
    """The impulses as the housing passes them on, [16000]: each starts a decaying oscillation, a filter of two poles.

    An impulse of 1 is as loud as can just be heard in the machine's own noise.
    """
    radius, angle = np.exp(-machine.damping / RATE), 2 * np.pi * machine.resonance / RATE
    masking = machine.shape[round(machine.resonance)] / np.sqrt((machine.shape**2).mean())
    poles = [1, -2 * radius * np.cos(angle), radius**2]
    return np.asarray(lfilter([0, AUDIBLE * masking * radius * np.sin(angle)], poles, impulses))
