"""tfac-export: writes a trained model as a SavedModel that TensorFlow Serving runs.

Example:
    tfac-export --workdir=runs/dmm_cnn --evaluation=runs/dmm_cnn/evaluation/test/metrics.json
"""

import dataclasses
import functools
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from tfac.cli import import_tensorflow_quietly, run_program
from tfac.errors import ConfigError
from tfac.files import read_json

if TYPE_CHECKING:
    from tfac.inference.trained_network import TrainedNetwork

_WORKDIR = flags.DEFINE_string(
    "workdir", None, "folder of the run, as tfac-train wrote it; its newest checkpoint is exported"
)
_SAVED_MODELS_DIR = flags.DEFINE_string(
    "saved_models_dir", "saved_models", "folder that holds a folder for each exported model"
)
_NAME = flags.DEFINE_string(
    "name", None, "name of the model, and of its folder; by default the model that was trained"
)
_EVALUATION = flags.DEFINE_string(
    "evaluation",
    None,
    "metrics.json that tfac-evaluate wrote for this run; goes into the export and its model card",
)
_PRECISION = flags.DEFINE_enum(
    "precision",
    None,
    ("float32", "mixed_float16", "mixed_bfloat16"),
    "arithmetic of the exported network; by default as it was trained",
)
_INPUT_SIZE = flags.DEFINE_enum(
    "input_size",
    "free",
    ("free", "trained"),
    "size of the arrays that it takes: free (any; resized in the graph) or trained (the image size "
    "of the training alone). JPEG and PNG files may have any size",
)
_WARMUP_BATCH_SIZES = flags.DEFINE_list(
    "warmup_batch_sizes",
    ["1", "2", "4", "8", "16", "32"],
    "batch sizes of the requests that a server runs when it loads the model, comma-separated; "
    "empty for no such requests",
)
_FORMATS = flags.DEFINE_list(
    "formats",
    [],
    "other formats to write beside the SavedModel, comma-separated: onnx, litert, openvino",
)
_FOLD = flags.DEFINE_bool(
    "fold", True, "fold batch norms into the convolutions before them, which is faster"
)
_CONSISTENT = flags.DEFINE_bool(
    "consistent",
    False,
    "give answers that break none of the label rules (tfac/celeba_label_rules.json, or those of "
    "the data set's --attribute_groups): where attributes contradict each other, the best answer "
    "that does not",
)
flags.mark_flag_as_required("workdir")


def main() -> None:
    """Exports and says what was written."""
    if _NAME.value is not None and Path(_NAME.value).name != (_NAME.value or None):
        raise ConfigError(f"--name: expected a name without folders. Received: {_NAME.value!r}")
    batch_sizes = _batch_sizes(_WARMUP_BATCH_SIZES.value)
    evaluation = None
    if _EVALUATION.value is not None:
        evaluation = read_json(_EVALUATION.value, "metrics.json of tfac-evaluate (--evaluation)")
    import_tensorflow_quietly()

    from tfac.export import ExportOptions, export_saved_model
    from tfac.training.workdir import load_trained_network

    trained = dataclasses.replace(
        load_trained_network(_WORKDIR.value, _PRECISION.value), consistent=_CONSISTENT.value
    )
    directory = Path(_SAVED_MODELS_DIR.value) / (_NAME.value or trained.training["model"])
    options = ExportOptions(
        input_size=_INPUT_SIZE.value,
        warmup_batch_sizes=batch_sizes,
        folded=_FOLD.value,
        formats=tuple(_FORMATS.value),
    )
    path = export_saved_model(trained, directory, options, evaluation)
    print(_summary(trained, path))


def _batch_sizes(values: Sequence[str]) -> tuple[int, ...]:
    try:
        return tuple(sorted({int(value) for value in values}))
    except ValueError as error:
        raise ConfigError(
            f"--warmup_batch_sizes: expected numbers, comma-separated. Received: {','.join(values)}"
        ) from error


def _summary(trained: "TrainedNetwork", path: Path) -> str:
    """Returns what was written and what can be done with it."""
    directory, name = path.parent, path.parent.name
    num_attributes, scheme = len(trained.attributes), trained.landmark_scheme
    outputs = f"valid [B]; scores, probabilities and predictions [B, {num_attributes}]"
    if scheme is not None:
        outputs += f"; landmarks [B, {scheme.num_landmarks}, 2]"
    signatures = [f"  {name:15}  {text}" for name, text in _signatures(trained).items()]
    card = f"Model card: {path}/assets.extra/model_card.html"
    if _EVALUATION.value is None:
        card += ", without figures: run tfac-evaluate and export with --evaluation"
    formats = [f"Other formats: {path}/assets.extra/formats"] if _FORMATS.value else []
    return "\n".join(
        [
            f"Wrote {path} (step {trained.step})",
            "Signatures:",
            *signatures,
            f"  pictures get {outputs}",
            card,
            *formats,
            "Next:",
            f"  {shlex.join(['tfac-predict', f'--saved_model={directory}', 'PHOTO...'])}",
            f"  {shlex.join(['tfac-serve', f'--saved_model={directory}'])}",
            f"  docker run --rm -p 8500:8500 -p 8501:8501 -e MODEL_NAME={shlex.quote(name)} \\",
            f"    -v {shlex.quote(f'{directory.resolve()}:/models/{name}')} tensorflow/serving",
        ]
    )


def _signatures(trained: "TrainedNetwork") -> dict[str, str]:
    """Returns what each signature takes, in words."""
    from tfac.inference.signatures import describe_explanation

    height, width = trained.image_size
    size = "H, W" if _INPUT_SIZE.value == "free" else f"{height}, {width}"
    signatures = {
        "serving_default": "image_bytes: string [B], each a JPEG or PNG of any size",
        "images": f"images: uint8 [B, {size}, 3] in [0, 255]",
        "images_float": f"images: float32 [B, {size}, 3] in [0, 255]",
        "examples": "examples: string [B], each a tf.Example with the file in feature image",
        "tfac_metadata": "request: string [B]; answers assets.extra/tfac.json",
    }
    explanation = describe_explanation(trained)
    if explanation is not None:
        signatures["explain"] = "image_bytes: string [B]"
        if explanation["levels"]:
            shape = f"[B, {height}, {width}, {len(explanation['groups'])}]"
            masks = ", ".join(f"masks_{level}" for level in explanation["levels"])
            signatures["explain"] += f"; answers {masks} {shape} too"
    return signatures


run = functools.partial(run_program, main)

if __name__ == "__main__":
    run()
