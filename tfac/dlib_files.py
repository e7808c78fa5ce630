"""Where dlib's trained models lie: in the installed package `face_recognition_models`."""

import importlib.util
from pathlib import Path

from tfac.errors import ConfigError

LANDMARK_PREDICTOR = "shape_predictor_68_face_landmarks.dat"
FACE_RECOGNITION = "dlib_face_recognition_resnet_model_v1.dat"


def dlib_file(name: str, needed_by: str) -> Path:
    """Returns where a model of dlib's is installed.

    The package that carries it is located, not imported: its import needs `pkg_resources`, which
    recent setuptools no longer has.

    Args:
        name: the file's.
        needed_by: what asks for it, for the error.

    Raises:
        ConfigError: `face_recognition_models` is not installed or lacks the file.
    """
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(
            f"{needed_by}: {name} is in the package face_recognition_models, which is not "
            "installed. Run: pip install face_recognition_models"
        )
    path = Path(spec.submodule_search_locations[0]) / "models" / name
    if not path.is_file():
        raise ConfigError(
            f"{needed_by}: expected the file {path}, and it is missing. "
            "Run: pip install --force-reinstall face_recognition_models"
        )
    return path
