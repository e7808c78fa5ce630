"""tfac-export: writes a trained model as a SavedModel that TensorFlow Serving runs.

Example:
    tfac-export --workdir=runs/dmm_cnn --name=dmm_cnn
"""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from tfac.cli import import_tensorflow_quietly, run_program
from tfac.errors import ConfigError

_WORKDIR = flags.DEFINE_string(
    "workdir", None, "folder of the run, as tfac-train wrote it; its newest checkpoint is exported"
)
_SAVED_MODELS_DIR = flags.DEFINE_string(
    "saved_models_dir", "saved_models", "folder that holds a folder for each exported model"
)
_NAME = flags.DEFINE_string(
    "name", None, "name of the model, and of its folder; by default the model that was trained"
)
flags.mark_flag_as_required("workdir")


def main(argv: Sequence[str]) -> None:
    """Exports and says what was written."""
    if len(argv) > 1:
        raise ConfigError(f"expected flags alone. Received: {' '.join(argv[1:])}")
    if _NAME.value is not None and Path(_NAME.value).name != (_NAME.value or None):
        raise ConfigError(f"--name: expected a name without folders. Received: {_NAME.value!r}")
    import_tensorflow_quietly()

    from tfac.export import export_saved_model
    from tfac.training.workdir import load_trained_model

    trained = load_trained_model(_WORKDIR.value)
    name = _NAME.value or trained.config.model
    directory = Path(_SAVED_MODELS_DIR.value) / name
    path = export_saved_model(trained, directory)

    num_attributes, scheme = len(trained.attributes), trained.landmark_scheme
    outputs = f"scores, probabilities and predictions [B, {num_attributes}]"
    if scheme is not None:
        outputs += f", landmarks [B, {scheme.num_landmarks}, 2]"
    print(
        f"Wrote {path} (step {trained.step})\n"
        "Signatures:\n"
        "  serving_default  image_bytes: string [B], each a JPEG or PNG of any size\n"
        "  images           images: uint8 [B, H, W, 3] in [0, 255]\n"
        f"  both give {outputs}\n"
        f"  attribute names and thresholds: {path}/assets.extra/tfac.json\n"
        "Next:\n"
        f"  tfac-predict --saved_model={directory} PHOTO...\n"
        f"  docker run --rm -p 8500:8500 -p 8501:8501 -e MODEL_NAME={name} \\\n"
        f"    -v {directory.resolve()}:/models/{name} tensorflow/serving"
    )


def run() -> None:
    """Entry point."""
    run_program(main)


if __name__ == "__main__":
    run()
