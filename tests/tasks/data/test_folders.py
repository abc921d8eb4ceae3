"""A folder of class folders is a table of its files, for every command alike."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import fs

from models.errors import InputError
from models.modelfile import read_model_file
from tasks.data import sources
from tasks.data.inspect import examine, propose
from tasks.data.sharing import read_twice
from tasks.data.snapshot import ingest
from tasks.data.sources import peek, read_batches, resolve
from tasks.scoring.destination import destination
from tasks.scoring.inputs import look_at


def picture(path: Path, shade: int = 0, size: tuple[int, int] = (12, 12)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(shade).integers(0, 255, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def rows(uri: Path | str) -> dict[str, list[str | None]]:
    tables = [batch.table for file in resolve(str(uri)) for batch in read_batches(file)]
    found: dict[str, list[str | None]] = pa.concat_tables(tables).to_pydict()
    return found


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


def test_a_row_is_a_file_with_its_class_and_what_it_belongs_to(tmp_path: Path) -> None:
    names = ("b/00012_00005.PPM", "b/00012_00006.ppm", "a/deep/x-7.wav", "top.jpg", "a/00011.png", "b/le_3_r.tif")
    assert rows(touch(tmp_path, *names)) == {
        "path": ["a/00011.png", "a/deep/x-7.wav", "b/00012_00005.PPM", "b/00012_00006.ppm", "b/le_3_r.tif", "top.jpg"],
        "class": ["a", "deep", "b", "b", "b", None],
        "group": ["a/00011", "a/deep/x", "b/00012", "b/00012", "b/le_r", "top"],
    }  # fmt: skip


def test_hidden_and_other_files_are_passed_over(tmp_path: Path) -> None:
    touch(tmp_path, "a/_1.png", "a/.2.png", ".git/3.png", "__MACOSX/._4.png", "a/README.txt", "thumbs.db", "a/png")
    assert rows(tmp_path)["path"] == ["a/_1.png"]


def test_a_table_in_the_folder_speaks_for_it(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png")
    (tmp_path / "labels.csv").write_text("path,y\na/1.png,1\n")
    assert rows(tmp_path) == {"path": ["a/1.png"], "y": ["1"]}


def test_tables_that_only_accompany_the_pictures_of_class_folders_are_not_read(tmp_path: Path) -> None:
    touch(tmp_path, "00000/1.ppm", "00000/2.ppm", "00001/1.ppm", "00001/2.ppm", "00001/.3.ppm")
    touch(tmp_path, "00000/GT-00000.csv", "00001/GT-00001.csv", "00001/_hidden.csv")
    (file,) = resolve(str(tmp_path))
    assert (file.format, file.listed) == ("folder", ("00000/1.ppm", "00000/2.ppm", "00001/1.ppm", "00001/2.ppm"))
    assert file.strays == ("00000/GT-00000.csv", "00001/GT-00001.csv")


@pytest.mark.parametrize(
    "table", ["labels.csv", "labels/train.csv", "a/b/c.csv", "b/one.csv"], ids=["top", "apart", "beneath", "as many"]
)
def test_other_tables_speak_for_a_folder_with_pictures(tmp_path: Path, table: str) -> None:
    touch(tmp_path, "a/1.png", "a/2.png", "a/3.png", "a/of-a.csv", "b/4.png", table)
    assert table in {Path(file.path).relative_to(tmp_path).as_posix() for file in resolve(str(tmp_path))}


def test_pictures_that_lie_in_no_class_folder_leave_the_table_to_speak(tmp_path: Path) -> None:
    touch(tmp_path, "1.png", "2.png", "3.png", "labels.csv")
    assert [file.format for file in resolve(str(tmp_path))] == ["csv"]


def test_tables_that_are_not_read_are_told_by_new_and_check(tmp_path: Path) -> None:
    classes(tmp_path / "pets")
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name / f"{name}.csv").write_text("Filename;ClassId\n1.png;1\n")
    line = f"{tmp_path}/pets/: a table of its pictures and recordings; other tables in its class folders are not read: "
    assert line + "cat/cat.csv and 1 more" in propose([str(tmp_path / "pets")], "class", "m", tmp_path).findings
    found = examine(written(tmp_path, tmp_path / "pets"))
    assert found.passed and found.read == 80 and line + "cat/cat.csv and 1 more" in found.warnings


def test_names_counts_and_wanted_columns_are_told(tmp_path: Path) -> None:
    (file,) = resolve(str(touch(tmp_path, "a/1.png", "b/2.png")))
    assert (peek(file).schema.names, peek(file).rows) == (["path", "class", "group"], 2)
    (batch,) = read_batches(file, ["class"])
    assert batch.table.column_names == ["class"] and batch.rows.tolist() == [1, 2]


def test_each_folder_behind_a_pattern_is_one(tmp_path: Path) -> None:
    touch(tmp_path, "day=1/a/1.png", "day=2/b/2.png")
    assert rows(tmp_path / "day=*")["day"] == ["1", "2"]


def test_a_folder_of_a_store_is_read_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "bucket/signs/a/1.png")
    store = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    monkeypatch.setattr(sources, "_filesystem", lambda uri: (store, uri))
    assert rows("bucket/signs")["class"] == ["a"]
    assert rows("bucket/s*/")["path"] == ["a/1.png"]


@pytest.mark.parametrize("name", ["a/1.png", "a/*.png"])
def test_a_picture_is_no_table(tmp_path: Path, name: str) -> None:
    touch(tmp_path, "a/1.png")
    with pytest.raises(InputError, match=r"1\.png: a picture or recording, not a table; give its folder"):
        resolve(str(tmp_path / name))


def test_a_folder_without_any_of_these_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file, folder or pattern"):
        resolve(str(touch(tmp_path, "a/README.txt")))


def classes(folder: Path, per_class: int = 40) -> Path:
    for shade in range(2 * per_class):
        name = "cat" if shade % 2 else "dog"
        picture(folder / name / f"{shade:03}.png", shade)
    return folder


def written(tmp_path: Path, *data: Path) -> Path:
    path = tmp_path / "m.toml"
    path.write_text(propose([str(one) for one in data], "class", "m", tmp_path).text, encoding="utf-8")
    return path


def test_a_model_file_for_class_folders_loads_and_takes_new_files_in(tmp_path: Path) -> None:
    path = written(tmp_path, classes(tmp_path / "pets"))
    model_file = read_model_file(path)
    assert model_file.sources[0].uri == str(tmp_path / "pets")
    assert model_file.columns["path"].model_dump(include={"kind", "size"}) == {"kind": "image", "size": 12}
    assert set(model_file.columns) == {"path"} and model_file.split.key == ("path",)
    assert ingest(model_file, tmp_path / "home").rows == 80
    picture(tmp_path / "pets/cat/new.png", 99)
    assert ingest(model_file, tmp_path / "home").rows == 81


def test_a_bad_picture_is_a_reject(tmp_path: Path) -> None:
    path = written(tmp_path, classes(tmp_path / "pets"))
    (tmp_path / "pets/cat/bad.png").write_bytes(b"no picture at all")
    found = examine(path)
    assert found.passed and found.reasons == {"not a picture": 1}


def test_folders_of_train_and_test_are_sources_of_their_own(tmp_path: Path) -> None:
    for part in ("train", "test"):
        classes(tmp_path / "pets" / part)
    model_file = read_model_file(written(tmp_path, tmp_path / "pets"))
    parts = {Path(source.uri).name: source.split for source in model_file.sources}
    assert parts == {"train": None, "test": "test"}
    assert model_file.split.key == ()  # The same names begin anew in each folder.


def test_frames_of_one_track_stay_together(tmp_path: Path) -> None:
    for shade in range(96):
        picture(tmp_path / "signs" / str(shade % 2) / f"{shade // 6:05}_{shade % 6:05}.ppm", shade)
    path = written(tmp_path, tmp_path / "signs")
    model_file = read_model_file(path)
    assert model_file.split.group == "group"
    assert '# "group" = "category"    # its values are tracks' in path.read_text()


def test_a_class_folder_alone_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'class': missing in every row; give the folder of the class folders"):
        written(tmp_path, classes(tmp_path / "pets") / "cat")


def test_sources_in_a_store_keep_their_scheme_and_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("train", "test"):
        classes(tmp_path / "bucket/pets" / part)
    store = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    monkeypatch.setattr(sources, "_filesystem", lambda uri: (store, uri.partition("?")[0].removeprefix("s3://")))
    text = propose(["s3://bucket/pets?region=eu"], "class", "m", tmp_path).text
    assert 'uri = "s3://bucket/pets/test?region=eu"\nsplit = "test"' in text
    assert 'uri = "s3://bucket/pets/train?region=eu"' in text
    assert '{ kind = "image", size = 12 }' in text


def test_a_folder_within_another_is_not_read_twice(tmp_path: Path) -> None:
    touch(tmp_path, "nest/train/cat/1.png", "nest/test/cat/2.png", "nest/test/dog/3.png", "other/cat/2.png")
    (tmp_path / "link").symlink_to(tmp_path / "nest/test")
    (tmp_path / "other/far").symlink_to(tmp_path / "nest/train")
    whole = str(tmp_path / "nest")
    for part in (str(tmp_path / "nest/test"), str(tmp_path / "link")):
        (line,) = read_twice([file for uri in (whole, part) for file in resolve(uri)], "inputs")
        where = f"{part}/cat/2.png and 1 more"
        assert line == f"{where}: belong to two inputs, {whole} and {part}; give them in one of them"
    (line,) = read_twice([file for name in ("nest", "other") for file in resolve(str(tmp_path / name))], "sources")
    assert line.startswith(f"{tmp_path}/other/far/cat/1.png: belongs to two sources")
    apart = [file for name in ("nest/train", "nest/test") for file in resolve(str(tmp_path / name))]
    assert read_twice(apart, "sources") == []


def test_a_pattern_that_reaches_one_folder_by_two_names_is_told(tmp_path: Path) -> None:
    touch(tmp_path, "nest/cat/1.png")
    (tmp_path / "link").symlink_to("nest")
    (line,) = read_twice(resolve(f"{tmp_path}/*"), "sources")
    both = f"{tmp_path}/link/ and {tmp_path}/nest/"
    assert line == f"{tmp_path}/nest/cat/1.png: belongs to two sources, {both}; give it in one of them"


def test_nested_sources_and_inputs_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path, classes(tmp_path / "nest"))
    path.write_text(path.read_text() + '\n[[sources]]\nuri = "nest/cat"\n')
    with pytest.raises(InputError, match=r"nest/cat/001\.png and 39 more: belong to two sources"):
        ingest(read_model_file(path), tmp_path / "home")
    with pytest.raises(InputError, match="and 39 more: belong to two inputs"):
        look_at([str(tmp_path / "nest"), str(tmp_path / "nest/cat")], destination(tmp_path / "out"))
