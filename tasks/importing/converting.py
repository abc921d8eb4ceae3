"""ONNX made of other files, by the converters of their frameworks, where these are installed."""

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

from models.columns import ColumnSettings
from models.errors import InputError
from models.graphsection import TEXTS
from models.modelfile import ModelFile

PICKLES = (".pkl", ".pickle", ".joblib")
KERAS = (".keras", ".h5", ".hdf5")
SAVED_MODEL = "saved_model.pb"
CONVERTED = "converted.onnx"
OPSET = 18
"""Of the main domain, in what is converted here."""
NUMBERS = ("number", "boolean")
LONGEST = 300
"""Characters of a converter's message that are shown."""


def require_converter(file: Path, trust: bool) -> bool:
    """Whether the file has to be converted: it is no ONNX file.

    Raises InputError where its converter is not installed, or it is a pickle without `trust`: loading one runs code.
    """
    suffix = file.suffix.lower()
    if file.is_dir():
        if not (file / SAVED_MODEL).is_file():
            raise InputError(f"{file}: a folder without {SAVED_MODEL}; give an ONNX file, or a SavedModel's folder")
        _require(file, "tf2onnx", "tensorflow")
        _require(file, "tensorflow", "tensorflow")
    elif suffix in PICKLES:
        if not trust:
            raise InputError(
                f"{file}: a pickle, and loading it runs whatever code is in it, as yourself; where you trust its "
                "source, say --trust, or else have it converted where it was made (skl2onnx.to_onnx)"
            )
        _require(file, "skl2onnx", "sklearn")
    elif suffix in KERAS:
        _require(file, "keras", "keras")
    else:
        return False
    return True


def _require(file: Path, package: str, extra: str) -> None:
    if find_spec(package) is None:
        what = f"{package} makes ONNX of it, and is not installed"
        raise InputError(f"{file}: {what}; pip install 'perennial[{extra}]', or give an ONNX file")


def as_onnx(file: Path, model_file: ModelFile, scratch: Path, trust: bool) -> tuple[Path, str]:
    """The ONNX file itself, or one in `scratch` that was made of it, and what made it.

    Raises InputError where it has no converter, see `require_converter`, or that fails.
    """
    target = scratch / CONVERTED
    if not require_converter(file, trust):
        return file, ""
    if file.is_dir():
        return target, _of_saved_model(file, target)
    if file.suffix.lower() in PICKLES:
        return target, _of_pickle(file, model_file, target)
    return target, _of_keras(file, target)


@contextmanager
def _converting(file: Path, converter: str) -> Iterator[None]:
    """What a converter raises, whatever it is, as one plain line; what it prints stays off the screen."""
    from contextlib import redirect_stderr, redirect_stdout

    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            yield
    except InputError:
        raise
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{file}: {converter} can't read or convert it: {text[:LONGEST]}") from error


def _of_keras(file: Path, target: Path) -> str:
    """By Keras itself, which refuses code that is kept in the file."""
    # Read when Keras is imported, which is here at the earliest; its settings are written to no home folder.
    os.environ.setdefault("KERAS_BACKEND", "torch")
    os.environ.setdefault("KERAS_HOME", str(target.parent))
    with _converting(file, "Keras"):
        import keras

        model: Any = keras.models.load_model(file, compile=False, safe_mode=True)
        blanks = [keras.ops.zeros([size or 1 for size in t.shape], dtype=t.dtype) for t in model.inputs]
        model(blanks if len(blanks) > 1 else blanks[0])
        model.export(str(target), format="onnx", verbose=False, opset_version=OPSET)
    return f"Keras {keras.__version__}"


def _of_saved_model(folder: Path, target: Path) -> str:
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
    return f"TensorFlow {tensorflow.__version__}"


def _of_pickle(file: Path, model_file: ModelFile, target: Path) -> str:
    """By skl2onnx, from a fitted pipeline or estimator of scikit-learn; loading it runs the code that it holds."""
    with _converting(file, "scikit-learn"):
        import joblib

        pipeline = joblib.load(file)
    with _converting(file, "skl2onnx"):
        import sklearn
        from skl2onnx import convert_sklearn

        model = convert_sklearn(pipeline, initial_types=_types(pipeline, model_file), target_opset={"": OPSET})
        target.write_bytes(model.SerializeToString())
    return f"scikit-learn {sklearn.__version__}"


def _types(pipeline: Any, model_file: ModelFile) -> list[tuple[str, Any]]:
    """Inputs of the graph: one a column where the pipeline knows its columns by name, else one for all of them."""
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    unused = model_file.graph.unused if model_file.graph else ()
    columns = {name: settings for name, settings in model_file.columns.items() if name not in unused}
    names = getattr(pipeline, "feature_names_in_", None)
    if names is not None:
        absent = [name for name in names if name not in columns]
        if absent:
            raise InputError(f"columns: the pipeline was fitted on {absent[0]!r}, which [columns] does not have")
        return [(name, _type_of(name, columns)) for name in names]
    text = all(settings.kind in TEXTS for settings in columns.values())
    width = len(columns)
    return [("input", StringTensorType([None, width]) if text else FloatTensorType([None, width]))]


def _type_of(name: str, columns: Mapping[str, ColumnSettings]) -> Any:
    from skl2onnx.common.data_types import FloatTensorType, StringTensorType

    makes: Mapping[str, Callable[[list[int | None]], Any]] = {
        **dict.fromkeys(NUMBERS, FloatTensorType),
        **dict.fromkeys(TEXTS, StringTensorType),
    }
    kind = columns[name].kind
    if kind not in makes:
        raise InputError(f"columns.{name!r}: a {kind}, which skl2onnx has no type for; convert the pipeline yourself")
    return makes[kind]([None, 1])
