"""A store that speaks S3, in a process of its own, with an empty bucket."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow.parquet as pq

from benchmarks.measuring.prefect_server import free_port, wait_for
from tasks.data.reach import located

KEYS = {
    "AWS_ACCESS_KEY_ID": "bench",
    "AWS_SECRET_ACCESS_KEY": "bench",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}
SERVE = "from moto.server import main; import sys; main(['-H', '127.0.0.1', '-p', sys.argv[1]])"


@contextmanager
def running_store() -> Iterator[int]:
    """The port; the keys are in the environment of this process from here on."""
    from pyarrow import fs

    port = free_port()
    os.environ.update(KEYS)
    command = [sys.executable, "-c", SERVE, str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/moto-api/", server)
        fs.S3FileSystem(endpoint_override=f"127.0.0.1:{port}", scheme="http", allow_bucket_creation=True).create_dir(
            "bench"
        )
        yield port
    finally:
        server.kill()
        server.wait(30)


def uri(port: int, path: str) -> str:
    """Of a path in the bucket."""
    return f"s3://bench/{path}?endpoint_override=127.0.0.1:{port}&scheme=http"


def upload(path: Path, port: int, name: str) -> None:
    """A file of this machine under that name in the bucket."""
    from pyarrow import fs

    filesystem, target = located(uri(port, name))
    fs.copy_files(str(path), target, fs.LocalFileSystem(), filesystem)


def move(given: str, made: Path, port: int) -> None:
    """Reads the object `given`, then stores the files of the folder `made`: what a run from and to the store does."""
    filesystem, path = located(given)
    with filesystem.open_input_file(path) as opened, pq.ParquetFile(opened, pre_buffer=True) as file:
        for group in range(file.num_row_groups):
            file.read_row_group(group)
    for part in made.iterdir():
        upload(part, port, f"moved/{part.name}")
