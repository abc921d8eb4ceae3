"""A network so light that the time of a scoring run goes into everything else: a plain MLP, exported as all are."""

import hashlib
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import torch
from torch import Tensor, nn

from benchmarks.measuring.tables import CATEGORIES, NUMBERS
from models.columns import KINDS, ColumnSettings
from models.columns.category.feed import CategorySettings
from models.columns.number.feed import NumberSettings
from models.contract import GRAPH_FILE, Contract, ContractColumn, SplitSpec, write_contract
from tasks.export.graph import GraphColumn, export_graph
from tasks.scoring.predictor import Predictor

SIZES = (NUMBERS + len(CATEGORIES), 128, 64, 2)
CLASSES = (0, 1)


class Plain(nn.Module):
    """Scaled numbers and codes of categories through two hidden layers of random weights."""

    scale: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers = [nn.Linear(a, b) for a, b in pairwise(SIZES)]
        self.layers = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
        self.register_buffer("scale", torch.tensor([1.0] * NUMBERS + [1.0 / count for count in CATEGORIES]))

    def forward(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Index [N] and probabilities [N, 2]; a missing number is 0."""
        numbers = torch.where(torch.isnan(inputs["number"]), 0.0, inputs["number"])
        joined = torch.cat([numbers, inputs["category"].float()], 1) * self.scale
        probabilities = torch.softmax(self.layers(joined), 1)
        return (probabilities[:, 1] >= 0.5).long(), probabilities


def export_light(rows: pa.Table, folder: Path) -> Predictor:
    """The model of that network in `folder`; the categories are those of the rows."""
    torch.manual_seed(0)
    columns = [*(_column(rows, f"number {i}", NumberSettings()) for i in range(NUMBERS))]
    columns += [_column(rows, f"category {i}", CategorySettings()) for i in range(len(CATEGORIES))]
    example = {"number": torch.zeros(3, NUMBERS), "category": torch.zeros(3, len(CATEGORIES), dtype=torch.int64)}
    graph = export_graph(Plain(), example, columns, CLASSES)
    described = tuple(ContractColumn(name=c.name, settings=c.settings, statistics=c.statistics) for c in columns)
    digests = dict.fromkeys(("snapshot", "model_file", "code"), "")
    contract = Contract(
        name="light", task="binary", target="failed", columns=described, missing=(), classes=CLASSES, threshold=0.5,
        split=SplitSpec(rule="hash", columns=("key",), validation=0.1, test=0.1),
        graph_sha256=hashlib.sha256(graph).hexdigest(), **digests,
    )  # fmt: skip
    folder.mkdir(parents=True)
    (folder / GRAPH_FILE).write_bytes(graph)
    write_contract(contract, folder)
    return Predictor.load(folder, contract.graph_sha256)


def _column(rows: pa.Table, name: str, settings: ColumnSettings) -> GraphColumn:
    kind = KINDS[settings.kind]
    return GraphColumn(name, settings, kind.fit([kind.parse(rows.column(name), settings, ()).values], settings))
