"""Texts for tests, and their tokens by each way."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.columns.kind import Ragged
from models.columns.text.feed import TextKind, TextSettings
from models.columns.text.statistics import TextStatistics

KIND = TextKind()


ALL = TextSettings(min_count=1)


TEXTS = [
    "Wo ist meine Karte? Straße, Übergröße!",
    "Где моя карта? Ещё нет",
    "Πού είναι η κάρτα ΜΟΥ; Οδυσσεύς",
    "我的卡在哪里",
    "カードはどこですか ひらがな",
    "אין לי כרטיס عربى",
    "ไม่มีบัตร",
    "great 👍🏽👍🏽 café\tnew\nline  two",
    "İstanbul ıslak ŞEHİR",
    "x",
    "7-11 costs $3.50 (!!)",
]


def fit(texts: list[str | None], settings: TextSettings = ALL) -> TextStatistics:
    return KIND.fit([pa.array(texts, pa.string())], settings)


def rows(ragged: Ragged) -> list[list[int]]:
    if not len(ragged.lengths):
        return []
    return [part.tolist() for part in np.split(ragged.values, np.cumsum(ragged.lengths)[:-1])]


def encode(texts: list[str | None], statistics: TextStatistics) -> list[list[int]]:
    return rows(KIND.encode(pa.array(texts, pa.string()), ALL, statistics))


def run(model: Any, inputs: dict[str, NDArray[Any]]) -> Any:
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, inputs)[0]
