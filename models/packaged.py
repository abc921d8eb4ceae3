"""The model file as the folder of a version keeps it."""

from pathlib import Path

from models.errors import InputError
from models.modelfile import ModelFile

MODEL_FILE = "model_file.json"


def read_model_settings(folder: Path) -> ModelFile:
    """The model file that a version was made from. Raises InputError when it is missing or damaged."""
    path = folder / MODEL_FILE
    try:
        return ModelFile.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: missing; this is not a version that perennial made") from None
    except ValueError as error:
        raise InputError(f"{path}: damaged model file: {str(error).splitlines()[0]}") from None
