from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from adbc_driver_postgresql import dbapi
from pyarrow import fs

from tasks.data.sources import read_batches, resolve
from tests.servers import Address


def test_a_table_goes_to_postgresql_and_comes_back(postgres: str) -> None:
    table = pa.table({"name": ["a", None], "count": pa.array([1, 2], pa.int64())})
    with dbapi.connect(postgres) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("given", table)
        cursor.execute('SELECT "name", "count" FROM given ORDER BY "count"')
        assert cursor.fetch_arrow_table().equals(table)


def test_a_table_goes_to_an_object_store_and_is_a_source(s3: Address) -> None:
    table = pa.table({"a": [1, 2, 3]})
    for name in ("one", "two"):
        store, path = fs.FileSystem.from_uri(s3(f"folder/{name}.parquet"))
        pq.write_table(table, path, filesystem=store)
    files = resolve(s3("folder/*.parquet"))
    assert [Path(file.path).name for file in files] == ["one.parquet", "two.parquet"]
    assert [batch.table for file in files for batch in read_batches(file)] == [table, table]
