"""ONNX made of other files, by the converters of their frameworks, where these are installed."""

import errno
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

from models.errors import InputError, OutsideError, RefusedError
from models.modelfile import ModelFile
from tasks.importing.confined import Progress
from tasks.importing.networks import ask_keras, ask_tensorflow, compare_with_network
from tasks.importing.pipelines import implied_missing, input_types, record_answers, with_columns_joined

PICKLES = (".pkl", ".pickle", ".joblib")
KERAS = (".keras", ".h5", ".hdf5")
SAVED_MODEL = "saved_model.pb"
CONVERTED, ANSWERS = "converted.onnx", "answers.parquet"
OPSET = 18
"""Of the main domain, in what is converted here."""
FULL = (errno.ENOSPC, errno.EDQUOT)
LONGEST = 300
"""Characters of a converter's message that are shown."""


def require_converter(file: Path, trust: bool) -> bool:
    """Whether the file has to be converted: it is no ONNX file.

    Raises InputError where its converter is not installed, or it is a pickle or a SavedModel without `trust`: loading
    one runs code.
    """
    suffix = file.suffix.lower()
    if file.is_dir():
        if not (file / SAVED_MODEL).is_file():
            raise InputError(f"{file}: a folder without {SAVED_MODEL}; give an ONNX file, or a SavedModel's folder")
        _require_trust(
            file, trust, "a SavedModel, and loading it runs the program that it is", "python -m tf2onnx.convert"
        )
        _require(file, "tf2onnx", "tensorflow")
        _require(file, "tensorflow", "tensorflow")
    elif suffix in PICKLES:
        _require_trust(file, trust, "a pickle, and loading it runs whatever code is in it", "skl2onnx.to_onnx")
        _require(file, "skl2onnx", "sklearn")
    elif suffix in KERAS:
        _require(file, "keras", "keras")
    else:
        return False
    return True


def _require_trust(file: Path, trust: bool, what: str, elsewhere: str) -> None:
    if not trust:
        advice = f"where you trust its source, say --trust, or else have it converted where it was made ({elsewhere})"
        raise InputError(f"{file}: {what}, as yourself; {advice}")


def _require(file: Path, package: str, extra: str) -> None:
    if find_spec(package) is None:
        what = f"{package} makes ONNX of it, and is not installed"
        raise InputError(f"{file}: {what}; pip install 'perennial[{extra}]', or give an ONNX file")


@dataclass(frozen=True)
class Converted:
    """An ONNX file, and where it comes from."""

    graph: Path
    by: str = ""
    """What made it here; empty where it was given."""
    answers: Path | None = None
    """What the original said about some rows, where it was asked."""
    notes: tuple[str, ...] = ()
    """What is to be known of it, in words."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """What it has for a missing value of columns of texts, where the model file says nothing of it."""


def as_onnx(file: Path, model_file: ModelFile, scratch: Path, trust: bool, progress: Progress) -> Converted:
    """The ONNX file itself, or one in `scratch` that was made of it.

    Raises InputError where it has no converter, see `require_converter`, or that fails.
    """
    target = scratch / CONVERTED
    if not require_converter(file, trust):
        return Converted(file)
    if file.is_dir():
        return _of_saved_model(file, target)
    if file.suffix.lower() in PICKLES:
        return _of_pickle(file, model_file, target, progress)
    return _of_keras(file, target)


@contextmanager
def _converting(file: Path, converter: str) -> Iterator[None]:
    """What a converter raises, whatever it is, as one plain line; what it prints stays off the screen.

    Raises OutsideError where the disk is full.
    """
    from contextlib import redirect_stderr, redirect_stdout

    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    except (InputError, RefusedError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise OutsideError(f"{file}: no room to convert it in {tempfile.gettempdir()}: {error.strerror}") from error
        text = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{file}: {converter} can't read or convert it: {text[:LONGEST]}") from error


def _of_keras(file: Path, target: Path) -> Converted:
    """By Keras itself, which refuses code that is kept in the file."""
    # Read when Keras is imported, which is here at the earliest; its settings are written to no home folder.
    os.environ.setdefault("KERAS_BACKEND", "torch")
    os.environ.setdefault("KERAS_HOME", str(target.parent))
    with _converting(file, "Keras"):
        import keras

        model = _without_code(file)
        blanks = [keras.ops.zeros([size or 1 for size in t.shape], dtype=t.dtype) for t in model.inputs]
        model(blanks if len(blanks) > 1 else blanks[0])
        model.export(str(target), format="onnx", verbose=False, opset_version=OPSET)
        notes = compare_with_network(partial(ask_keras, model), target, "Keras", str(file))
    return Converted(target, f"Keras {keras.__version__}", notes=notes)


def _without_code(file: Path) -> Any:
    """The network that Keras keeps in the file. Raises InputError where it keeps code there too."""
    import keras

    try:
        return keras.models.load_model(file, compile=False, safe_mode=True)
    except Exception as error:
        # What Keras raises for it has no type of its own, and advises to switch the check off.
        if "safe_mode" not in str(error):
            raise
        what = "it holds Python code, such as a Lambda layer, which is not run here"
        advice = 'export it where it was made: model.export("model.onnx", format="onnx")'
        raise InputError(f"{file}: Keras can't read or convert it: {what}; {advice}") from None


def _of_saved_model(folder: Path, target: Path) -> Converted:
    """By tf2onnx, of the signature that TensorFlow serves."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _converting(folder, "tf2onnx"):
        import tensorflow
        import tf2onnx

        loaded: Any = tensorflow.saved_model.load(str(folder))
        serve = loaded.signatures["serving_default"]
        specs = serve.structured_input_signature[1]
        signature = [tensorflow.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in specs.items()]

        def call(*given: Any) -> Any:
            return serve(**dict(zip(specs, given, strict=True)))

        function = tensorflow.function(call, input_signature=signature)
        tf2onnx.convert.from_function(function, signature, opset=OPSET, output_path=str(target))
        notes = compare_with_network(partial(ask_tensorflow, function), target, "TensorFlow", str(folder))
    return Converted(target, f"TensorFlow {tensorflow.__version__}", notes=notes)


def _of_pickle(file: Path, model_file: ModelFile, target: Path, progress: Progress) -> Converted:
    """By skl2onnx, from a fitted pipeline or estimator of scikit-learn; loading it runs the code that it holds."""
    with _converting(file, "scikit-learn"), warnings.catch_warnings(record=True) as told:
        import joblib

        warnings.simplefilter("always")
        pipeline = joblib.load(file)
    progress()
    with _converting(file, "skl2onnx"):
        import sklearn
        from skl2onnx import convert_sklearn

        types, whole = input_types(pipeline, model_file), with_columns_joined(pipeline)
        model = convert_sklearn(whole, initial_types=types, target_opset={"": OPSET})
        target.write_bytes(model.SerializeToString())
    progress()
    with _converting(file, "scikit-learn"):
        answers = record_answers(pipeline, model_file, target.with_name(ANSWERS))
    missing = implied_missing(pipeline, model_file)
    return Converted(target, f"scikit-learn {sklearn.__version__}", answers, _other_versions(told), missing)


def _other_versions(told: list[warnings.WarningMessage]) -> tuple[str, ...]:
    """A line for each version of scikit-learn that fitted parts of a pipeline and is not the one that loaded it."""
    from sklearn.exceptions import InconsistentVersionWarning

    found = [each.message for each in told if isinstance(each.message, InconsistentVersionWarning)]
    pairs = sorted({(each.original_sklearn_version, each.current_sklearn_version) for each in found})
    return tuple(
        f"fitted by scikit-learn {fitted} and loaded by {loaded}, which may answer otherwise"
        for fitted, loaded in pairs
    )
