"""Errors that a user reads: one plain line each, with an exit code that a script can act on."""

from collections.abc import Sequence


class PerennialError(Exception):
    """Something a person has to know; its text is complete without a traceback."""

    exit_code = 3


class InputError(PerennialError):
    """What the user gave is wrong: a model file, data, or an argument."""

    exit_code = 2

    def __init__(self, *problems: str) -> None:
        self.problems: Sequence[str] = problems
        super().__init__("\n".join(problems))

    def __reduce__(self) -> tuple[type, tuple[str, ...]]:
        """Arrives in another process with the same problems."""
        return type(self), tuple(self.problems)


class AbsentError(InputError):
    """What the user named is not there, and may come later: a file, a model, a champion."""


class OutsideError(PerennialError):
    """A server, disk or network failed; nothing the user wrote is wrong."""

    exit_code = 3


class UnreachableError(OutsideError):
    """Something outside does not answer now, and may answer again shortly."""


class RefusedError(PerennialError):
    """The judgement was no: a gate failed, or there is nothing to go back to."""

    exit_code = 1
