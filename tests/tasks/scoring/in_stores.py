"""What is left in an object store, read in another way than scoring writes it."""

import pandas as pd
import pyarrow.parquet as pq
from pyarrow import fs


def read(uri: str, what: str) -> pd.DataFrame:
    filesystem, root = fs.FileSystem.from_uri(uri)
    return pq.read_table(f"{root}/{what}", filesystem=filesystem).to_pandas()


def names(uri: str) -> set[str]:
    filesystem, root = fs.FileSystem.from_uri(uri)
    return {info.path.removeprefix(f"{root}/") for info in filesystem.get_file_info(fs.FileSelector(root))}
