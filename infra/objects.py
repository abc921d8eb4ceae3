"""The bucket of artefacts: `python infra/objects.py make`, or `save FOLDER`, `load FOLDER`; see infra/bin."""

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from pyarrow import fs


def store() -> fs.S3FileSystem:
    """The object store that the environment of infra/bin/as-mlflow names."""
    address = urlsplit(os.environ["MLFLOW_S3_ENDPOINT_URL"])
    return fs.S3FileSystem(endpoint_override=address.netloc, scheme=address.scheme, allow_bucket_creation=True)


def make(bucket: str) -> None:
    """Makes the bucket where it is missing."""
    found = store()
    if found.get_file_info(bucket).type == fs.FileType.NotFound:
        found.create_dir(bucket)


def save(bucket: str, folder: Path) -> None:
    """Copies all objects into a folder."""
    folder.mkdir(parents=True)
    fs.copy_files(bucket, str(folder), source_filesystem=store(), destination_filesystem=fs.LocalFileSystem())


def load(bucket: str, folder: Path) -> None:
    """Copies what `save` has written into the bucket."""
    fs.copy_files(str(folder), bucket, source_filesystem=fs.LocalFileSystem(), destination_filesystem=store())


def main(words: list[str]) -> None:
    """Does what the words say with the bucket that the environment names."""
    match words:
        case ["make"]:
            make(os.environ["ARTIFACT_BUCKET"])
        case ["save", folder]:
            save(os.environ["ARTIFACT_BUCKET"], Path(folder))
        case ["load", folder]:
            load(os.environ["ARTIFACT_BUCKET"], Path(folder))
        case _:
            sys.exit("usage: python infra/objects.py make | save FOLDER | load FOLDER")


if __name__ == "__main__":
    main(sys.argv[1:])
