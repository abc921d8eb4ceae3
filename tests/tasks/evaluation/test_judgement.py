import numpy as np

from tasks.data.splits import TEST, TRAIN, VALIDATION
from tasks.evaluation.judgement import learnt_from


def test_baselines_have_the_validation_rows_and_never_the_test_rows() -> None:
    assigned = np.array([TRAIN, TEST, VALIDATION, TRAIN], dtype=np.int8)
    assert learnt_from(assigned).tolist() == [True, False, True, True]
