"""What a training came to; torch-free, for those who only report it."""

from dataclasses import dataclass


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
