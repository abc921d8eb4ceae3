"""From a trained version to the shipped service: the contract carries the actions, and predictions meet them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from models.columns import KINDS
from models.contract import Contract
from tasks.actions.deliver import Delivered
from tasks.actions.letters import Parcel
from tasks.actions.outbox import write_outbox
from tasks.actions.select import Actions
from tasks.examples.refunds import Refunds
from tasks.scoring.output import output_columns
from tasks.scoring.predictor import Predictor
from tests.packages import export_quickly
from tests.small import table, write_model
from tests.tasks.actions.parcels import RUN, send
from tests.tasks.actions.services import running

ACTIONS = """
[[actions]]
name = "repair"
when = 'label == "yes" or probability_no < 0.45'
to = "ADDRESS/refunds"
columns = ["shop", "probability"]

[[actions]]
name = "keep"
when = "probability >= 0.7"
to = "kept"
"""


def predicted(predictor: Predictor, frame: pd.DataFrame) -> pa.Table:
    """As scoring makes them: prediction columns, and what names the row and its version."""
    columns = {c.name: (c.settings, pa.array(frame[c.name])) for c in predictor.contract.columns}
    parsed = {
        name: KINDS[settings.kind].parse(values, settings, predictor.contract.missing).values
        for name, (settings, values) in columns.items()
    }
    stamps = {"model": "m", "model_version": "1", "run_id": RUN, "source": "new.csv"}
    added = output_columns(predictor.predict(parsed), predictor.contract)
    named = {name: pa.repeat(value, len(frame)) for name, value in stamps.items()}
    return pa.table(added | named | {"row": np.arange(1, len(frame) + 1)})


def deliver_all(contract: Contract, predictions: pa.Table, inputs: pa.Table, folder: Path) -> list[Delivered]:
    taken = Actions(contract.actions, contract.classes).select(predictions, inputs)
    told = []
    for action in contract.actions:
        parcel = Parcel("1", *(folder / f"{action.name}.{end}" for end in ("parquet", "receipts.jsonl", "dead.jsonl")))
        write_outbox(parcel.outbox, taken[action.name])
        told.append(send(action, parcel))
    return told


def test_a_version_acts_as_its_model_file_said(tmp_path: Path) -> None:
    frame = table()
    with running(tmp_path / "refunds.db") as service:
        rest = ACTIONS.replace("ADDRESS", service.address)
        package = export_quickly(write_model(tmp_path, "acting", frame, rest=rest), tmp_path).folder
        predictor = Predictor.load(package)
        predictions = predicted(predictor, frame)
        told = deliver_all(predictor.contract, predictions, pa.Table.from_pandas(frame), tmp_path)
    seen = predictions.to_pandas()
    repair, keep = seen[(seen["label"] == "yes") | (seen["probability_no"] < 0.45)], seen[seen["probability"] >= 0.7]
    assert told == [Delivered("repair", len(repair), len(repair), 0), Delivered("keep", len(keep), len(keep), 0)]
    assert 0 < len(repair) < len(frame)
    requests = [refund["request"] for refund in Refunds(tmp_path / "refunds.db").list()]
    assert sorted(request["row"] for request in requests) == repair["row"].tolist()
    shops = frame["shop"].astype(object).where(frame["shop"].notna(), None).tolist()
    assert all(request["shop"] == shops[request["row"] - 1] for request in requests)
    kept = pd.read_parquet(tmp_path / "kept" / f"{RUN}-keep-1.parquet")
    assert kept["row"].tolist() == keep["row"].tolist()
    assert list(kept) == ["model", "model_version", "run_id", "source", "row", *predictions.column_names[:4]]
