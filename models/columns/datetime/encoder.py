"""The network half of dates: cyclic parts of the calendar and age."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.columns.datetime.statistics import DatetimeStatistics
from models.columns.kind import ColumnSettings
from models.sections import Network

DAY = 86400.0
FEATURES = 10


class Encoder(nn.Module):
    """Ten features per date column, seconds [N, C] float64 with NaN for missing -> [N, 10 * C] float32.

    Sine and cosine of the hour of the day, the day of the week, of the month and of the year; age relative to the
    span of the training rows, held within one span of it; a missing indicator. All are 0 where the date is missing.
    """

    first: Tensor
    span: Tensor

    def __init__(
        self, settings: Sequence[ColumnSettings], statistics: Sequence[DatetimeStatistics], network: Network
    ) -> None:
        super().__init__()
        self.out_features = FEATURES * len(statistics)
        first = torch.tensor([s.first for s in statistics], dtype=torch.float64)
        last = torch.tensor([s.last for s in statistics], dtype=torch.float64)
        self.register_buffer("first", first)
        self.register_buffer("span", (last - first).clamp(min=1.0))

    def forward(self, seconds: Tensor) -> Tensor:
        """Features [N, 10 * C], one part of all columns after the other."""
        missing = torch.isnan(seconds)
        known = torch.where(missing, self.first, seconds)
        # Float32 can't hold seconds since 1970: reduce to fractions of a cycle in float64 first.
        angles = torch.cat(calendar_fractions(known), dim=1).float() * (2 * math.pi)
        age = ((known - self.first) / self.span).clamp(-1, 2).float() * 2 - 1
        given = (~missing).float()
        parts = torch.cat([torch.sin(angles), torch.cos(angles), age], dim=1) * given.repeat(1, FEATURES - 1)
        return torch.cat([parts, 1 - given], dim=1)


def calendar_fractions(seconds: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Fractions of the day, week, month and year that have passed, float64 in [0, 1), of seconds since 1970.

    Civil dates are counted from 1 March in eras of 400 years (Hinnant, "chrono-compatible low-level date algorithms"),
    so that plain floors do. The year begins on 1 March and the month has 31 days: only the cycle matters.
    """
    day = torch.floor(seconds / DAY)
    passed = seconds / DAY - day
    week = day + 4 - 7 * torch.floor((day + 4) / 7)
    shifted = day + 719468
    in_era = shifted - 146097 * torch.floor(shifted / 146097)
    leaps = torch.floor(in_era / 1460) - torch.floor(in_era / 36524) + torch.floor(in_era / 146096)
    year = torch.floor((in_era - leaps) / 365)
    in_year = in_era - (365 * year + torch.floor(year / 4) - torch.floor(year / 100))
    month = torch.floor((5 * in_year + 2) / 153)
    in_month = in_year - torch.floor((153 * month + 2) / 5)
    return passed, (week + passed) / 7, (in_month + passed) / 31, (in_year + passed) / 366
