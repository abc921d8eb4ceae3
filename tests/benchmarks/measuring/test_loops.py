"""Both loops run on the model file that `new` writes, and learn from the same batches."""

from pathlib import Path

import pytest

from benchmarks.measuring import loops


def test_the_platform_and_the_bare_loop_are_timed_in_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "EPOCHS", 1)
    model_file, prepared = loops.prepare_rows(tmp_path, 600)
    assert model_file.training.batch_size is None
    ours, bare = loops.measure(model_file, prepared, prepared.build(model_file), 2)
    assert len(ours) == len(bare) == 2
    assert min(*ours, *bare) > 0
