"""`new` looks into the files that a column names or holds, and writes settings that fit them."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from PIL import Image

from models.errors import InputError
from models.modelfile import ModelFile, read_model_file
from tasks.data.inspect import Proposal, propose

ROWS = 60


def png(height: int = 12, width: int = 12) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.full((height, width), 99, dtype=np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def wav(seconds: float = 0.5, rate: int = 8000) -> bytes:
    stream = io.BytesIO()
    soundfile.write(stream, np.zeros(int(seconds * rate)), rate, format="WAV")
    return stream.getvalue()


def manifest(folder: Path, contents: Sequence[bytes], suffix: str, place: str = "", **columns: object) -> Path:
    """A table that names a file for each of the contents."""
    (folder / place).mkdir(parents=True, exist_ok=True)
    for i, content in enumerate(contents):
        (folder / place / f"{i:03}.{suffix}").write_bytes(content)
    names = [f"{i:03}.{suffix}" for i in range(len(contents))]
    y = np.where(np.arange(len(contents)) % 2, "a", "b")
    pd.DataFrame({"file": names, "y": y, **columns}).to_csv(folder / "labels.csv", index=False)
    return folder / "labels.csv"


def proposed(table: Path) -> tuple[ModelFile, Proposal]:
    proposal = propose([str(table)], "y", "m", table.parent)
    (table.parent / "m.toml").write_text(proposal.text, encoding="utf-8")
    return read_model_file(table.parent / "m.toml"), proposal


def said(table: Path) -> dict[str, object]:
    settings: dict[str, object] = proposed(table)[0].columns["file"].model_dump(exclude_unset=True)
    return settings


@pytest.mark.parametrize(
    ("sizes", "size"),
    [
        ([(35, 35)], 35),
        ([(20, 32)], (20, 32)),
        ([(96, 96)], 96),
        ([(224, 224)], 96),
        ([(4, 4)], 8),
        ([(35, 35), (41, 41), (45, 45)], 40),
        ([(97, 30)], 64),
    ],
)
def test_pictures_keep_a_small_size_and_are_scaled_to_others(
    tmp_path: Path, sizes: list[tuple[int, int]], size: object
) -> None:
    table = manifest(tmp_path, [png(*sizes[i % len(sizes)]) for i in range(ROWS)], "png")
    assert said(table) == {"kind": "image", "size": size}


def test_recordings_are_heard_at_their_rate_and_nearly_whole(tmp_path: Path) -> None:
    contents = [wav(0.52)] * 40 + [wav(0.3, 16000)] * 15 + [wav(0.97)] * 4 + [wav(5)]
    assert said(manifest(tmp_path, contents, "wav")) == {"kind": "audio", "sample_rate": 8000, "seconds": 1.0}
    high = manifest(tmp_path / "high", [wav(0.04, 48000)] * ROWS, "wav")
    assert said(high) == {"kind": "audio", "sample_rate": 16000, "seconds": 0.2}


def test_files_in_a_folder_beside_the_table_are_found(tmp_path: Path) -> None:
    table = manifest(tmp_path, [png()] * ROWS, "png", place="images")
    assert said(table) == {"kind": "image", "folder": "images", "size": 12}


def test_files_that_are_not_there_are_a_reason(tmp_path: Path) -> None:
    pd.DataFrame({"file": [f"{i}.jpg" for i in range(ROWS)], "x": np.arange(ROWS) % 7, "y": ["a", "b"] * 30}).to_csv(
        tmp_path / "labels.csv", index=False
    )
    model_file, proposal = proposed(tmp_path / "labels.csv")
    assert set(model_file.columns) == {"x"}
    assert proposal.left_out["file"].startswith("50 of 50 files looked at can't be used (no such file); paths begin at")
    assert f"column 'file' is left out: {proposal.left_out['file']}" in proposal.findings


def test_nothing_but_files_that_are_not_there_is_one_line(tmp_path: Path) -> None:
    table = manifest(tmp_path, [b""] * ROWS, "png")
    with pytest.raises(InputError, match=r"no column is left to learn from: 'file' 50 of 50 files .* \(empty file\)"):
        proposed(table)


@pytest.mark.parametrize(
    ("good", "bad", "told"),
    [
        (png(), [], "50 pictures of 12 x 12 pixels looked at"),
        (
            png(),
            [b"text", b""],
            "48 pictures of 12 x 12 pixels; 2 of 50 looked at can't be used: not a picture, empty file",
        ),
        (png(), [png()[:20]], "49 pictures of 12 x 12 pixels; 1 of 50 looked at can't be used: damaged picture"),
        (wav(), [b"text"], "49 recordings of 0.5 seconds at 8000 Hz; 1 of 50 looked at can't be used: not a recording"),
    ],
)
def test_what_some_files_are_and_why_others_can_not_be_used_is_told(
    tmp_path: Path, good: bytes, bad: list[bytes], told: str
) -> None:
    """Of 60 files 50 are looked at, the first and the last among them."""
    contents = [*bad[:1], *[good] * (ROWS - len(bad)), *bad[1:]]
    _, proposal = proposed(manifest(tmp_path, contents, "wav" if good == wav() else "png"))
    assert f"column 'file': {told}" in proposal.findings


@pytest.mark.parametrize(("content", "kind"), [(png(), "image"), (wav(), "audio")])
def test_contents_in_parquet_are_looked_into(tmp_path: Path, content: bytes, kind: str) -> None:
    contents = [content + bytes([i]) for i in range(ROWS - 1)]
    table = pa.table(
        {
            "file": pa.array([*contents, None], pa.large_binary()),
            "y": ["a", "b"] * 30,
            "x": np.arange(ROWS) % 7,
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    model_file, _ = proposed(tmp_path / "t.parquet")
    assert {name: settings.kind for name, settings in model_file.columns.items()} == {"file": kind}


def test_what_stands_beside_files_is_left_to_a_person(tmp_path: Path) -> None:
    speakers = [f"s{i % 5}" for i in range(ROWS)]
    table = manifest(tmp_path, [wav()] * ROWS, "wav", speaker=speakers, n=np.arange(ROWS) % 7)
    model_file, proposal = proposed(table)
    assert set(model_file.columns) == {"file"} and set(proposal.left_out) == {"speaker", "n"}
    assert "take the # away from a column that helps" in proposal.text
    assert '\n# group = "speaker"    # so that' in proposal.text
    assert model_file.split.key == ("file",)


def test_frames_of_a_track_are_split_together_although_the_test_has_none(tmp_path: Path) -> None:
    names = np.where(np.arange(ROWS) % 2, "a", "b")
    manifest(
        tmp_path,
        [png()] * ROWS,
        "png",
        class_id=np.arange(ROWS) % 2 + 5,
        track=np.arange(ROWS) // 6 * 2 + np.arange(ROWS) % 2,
    )
    (tmp_path / "labels.csv").rename(tmp_path / "train.csv")
    pd.DataFrame({"file": [f"{i:03}.png" for i in range(ROWS)], "y": names}).to_csv(tmp_path / "test.csv", index=False)
    proposal = propose([str(tmp_path / "train.csv"), str(tmp_path / "test.csv")], "y", "m", tmp_path)
    (tmp_path / "m.toml").write_text(proposal.text)
    model_file = read_model_file(tmp_path / "m.toml")
    assert [source.split for source in model_file.sources] == [None, "test"]
    assert (model_file.split.group, set(model_file.columns)) == ("track", {"file"})
    assert "leaks the target" in proposal.left_out["class_id"]
