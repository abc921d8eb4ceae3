"""The words that a version knows, as its graph holds them; a text's share of unknown ones."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.columns.text.characters import Codes, code_points, code_table
from models.columns.text.statistics import portions, token_ids
from models.columns.text.tokens import FIRST_WORD, UNKNOWN_WORD, find_words, frame
from models.contract import GRAPH_FILE, Contract


@dataclass(frozen=True)
class Vocabulary:
    """The codes of the characters that a column's encoder knows, and the keys of its words."""

    table: Codes
    keys: Codes

    def unknown(self, texts: pa.Array) -> NDArray[np.float64]:
        """The share of each text's words that are unknown, [N]; NaN where it has no words or is missing."""
        shares = [self._unknown(piece) for piece in portions(texts)]
        return np.concatenate([np.empty(0), *shares])

    def _unknown(self, texts: pa.Array) -> NDArray[np.float64]:
        points, lengths = code_points(texts)
        words = find_words(frame(self.table[points], lengths))
        unknown = token_ids(words.keys, self.keys, FIRST_WORD, UNKNOWN_WORD) == UNKNOWN_WORD
        count = np.bincount(words.rows, minlength=len(texts))
        found = np.bincount(words.rows, weights=unknown, minlength=len(texts))
        return np.where(count > 0, found / np.maximum(count, 1), np.nan)


def vocabularies_of(package: Path, contract: Contract) -> Mapping[str, Vocabulary]:
    """What the graph in the folder of a version holds of its texts, by their columns, sensitive ones left out."""
    shown = (column for column in contract.columns if not column.settings.sensitive)
    return _vocabularies(package / GRAPH_FILE, [column.name for column in shown if column.settings.kind == "text"])


def _vocabularies(graph: Path, texts: Collection[str]) -> Mapping[str, Vocabulary]:
    """What the look-ups of the graph behind its inputs `texts` hold, by their names."""
    if not texts:
        return {}
    import onnx
    from onnx import helper

    found = {}
    nodes = onnx.load(graph).graph.node
    for name in texts:
        # Everything that finds the tokens of a column is named by what they end as.
        behind = next(node.output[0].rpartition("/")[0] for node in nodes if name in node.input)
        inner = (node for node in nodes if node.op_type == "LabelEncoder" and node.output[0].startswith(f"{behind}/"))
        look_ups = [{a.name: helper.get_attribute_value(a) for a in node.attribute} for node in inner]
        coded = next((each for each in look_ups if "keys_strings" in each and len(each.get("values_int64s", ()))), None)
        words = next(
            (each for each in look_ups if each.get("default_int64") == UNKNOWN_WORD and each is not coded), None
        )
        if coded is None or words is None:
            # A graph that was made elsewhere has words of its own, which nobody knows.
            continue
        codes = dict(zip((c.decode() for c in coded["keys_strings"]), coded["values_int64s"], strict=True))
        found[name] = Vocabulary(code_table(codes), np.array(words["keys_int64s"], dtype=np.int64))
    return found
