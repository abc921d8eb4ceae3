"""What a training came to; torch-free, for those who only report it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Inherited:
    """What a warm start took over: names of parameters, wholly or in part, and of those that start anew."""

    kept: tuple[str, ...]
    anew: tuple[str, ...]
    news: tuple[str, ...]
    """What the earlier version did not know, in words."""

    def line(self) -> str:
        """For people."""
        taken = f"{len(self.kept)} of {len(self.kept) + len(self.anew)} parameters"
        return f"{taken} taken over" + (f"; new: {'; '.join(self.news)}" if self.news else "")


@dataclass(frozen=True)
class Fitted:
    """Facts about trained weights; the weights themselves are in a file."""

    best_epoch: int
    """Counted from 1."""
    train_loss: tuple[float, ...]
    """By epoch."""
    validation_loss: tuple[float, ...]
    parameters: int
    rows: dict[str, int]
    """Rows by split."""
    seconds: float
    temperature: float | None
    threshold: float | None
    inherited: Inherited | None = None
    """None where the training began with random weights."""
