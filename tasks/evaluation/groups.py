"""Which rows belong together."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


def group_codes(values: pa.ChunkedArray) -> NDArray[np.int64]:
    """A number per row, [N], equal for equal values; missing values are one group."""
    return np.asarray(pc.rank(values.cast(pa.string()), tiebreaker="dense").to_numpy())
