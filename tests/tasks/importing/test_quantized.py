"""Graphs that find the scale of their numbers in the rows that are scored together."""

from pathlib import Path

import numpy as np
import onnx
from onnx import helper

from tests.imports import bring, quoted, write_spec
from tests.tasks.importing.by_hand import COLUMNS, FLOAT, info, model, problems_of, rows, spec_of

CLASSES = f"missing = 0\nclasses = {quoted('p', 'q')}"


def quantized(scale: float) -> onnx.ModelProto:
    """Softmax of numbers that are rounded to a 255th part of what the rows span, and multiplied by the scale."""
    nodes = [
        helper.make_node("DynamicQuantizeLinear", ["x"], ["whole", "step", "zero"]),
        helper.make_node("DequantizeLinear", ["whole", "step", "zero"], ["rounded"]),
        helper.make_node("MatMul", ["rounded", "w"], ["z"]),
        helper.make_node("Softmax", ["z"], ["p"], axis=1),
    ]
    weights = {"w": scale * np.eye(2, dtype=np.float32)}
    return model(nodes, [info("x", FLOAT, None, 2)], [info("p", FLOAT, None, 2)], weights)


def test_rows_that_move_each_other_a_little_are_told(tmp_path: Path) -> None:
    found = bring(quantized(0.5), spec_of(tmp_path, CLASSES, 'column = "kind"'))
    (note,) = found.imported.facts.notes
    moved = float(note.split("scales numbers by the rows beside them")[1].split("by up to ")[1])
    frame, worst = rows(), 0.0
    among = found.probabilities(frame, ["p", "q"])
    for row in range(len(frame)):
        worst = max(worst, float(np.abs(found.probabilities(frame[row : row + 1], ["p", "q"])[0] - among[row]).max()))
    assert 1e-4 < moved <= 0.01 and worst / 2 < moved < 2 * worst


def test_rows_that_move_each_other_much_are_refused(tmp_path: Path) -> None:
    frame = rows()
    frame.loc[1, "a"] = 200.0
    (problem,) = problems_of(quantized(0.5), write_spec(tmp_path, frame, 'column = "kind"', COLUMNS, CLASSES))
    assert "depends on the rows beside it, by up to 0." in problem and "(allowed 0.01)" in problem


def test_values_are_moved_as_shares_of_their_spread(tmp_path: Path) -> None:
    nodes = [*quantized(1.0).graph.node[:2], helper.make_node("MatMul", ["rounded", "w"], ["y"])]
    for scale in (1e-3, 1e3):
        weights = {"w": scale * np.array([[2.0], [1.0]], np.float32)}
        given = model(nodes, [info("x", FLOAT, None, 2)], [info("y", FLOAT, None, 1)], weights)
        (problem,) = problems_of(given, spec_of(tmp_path))
        assert "depends on the rows beside it, by up to 0.01" in problem
