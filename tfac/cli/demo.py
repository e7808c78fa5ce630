"""The whole of tfac on synthetic faces: prepare, train, evaluate, export, predict.

``make demo`` runs it. Each step is one of the programs, its command line shown; a step whose output
is there already is not run again.
"""

import functools
import subprocess
import sys
import time
from pathlib import Path

from absl import flags

from tfac.cli import import_tensorflow_quietly, run_program
from tfac.errors import TfacError

_DEMO_DIR = flags.DEFINE_string("demo_dir", "demo", "folder that everything but the export is in")
_SAVED_MODELS_DIR = flags.DEFINE_string("saved_models_dir", "saved_models", "folder of exports")

NUM_UNSEEN_FACES = 12


def main() -> None:
    """Runs the steps and names what to look at."""
    import_tensorflow_quietly()
    started = time.monotonic()
    demo = Path(_DEMO_DIR.value)
    exports = Path(_SAVED_MODELS_DIR.value)
    data, run, evaluation = demo / "data", demo / "run", demo / "evaluation"
    faces, unseen, predictions = demo / "faces.png", demo / "unseen_faces", demo / "predictions"

    _step(
        "1/5 Draw synthetic faces and prepare them as records",
        ["prepare", "--dataset=synthetic_faces", f"--data_dir={data}", "--synthetic_image_size=64"]
        + ["--synthetic_train_count=6000", "--synthetic_validation_count=600"]
        + ["--synthetic_test_count=1000"],
        None,  # the program itself says when the data set is there
    )
    _draw_faces(faces)
    trained = _step(
        "2/5 Train a small DMM-CNN",
        ["train", "--model=dmm_cnn", "--protocol=demo", f"--data_dir={data}", f"--workdir={run}"],
        run / "curves.png",
    )
    _step(
        "3/5 Evaluate it on faces it has not seen",
        ["evaluate", f"--workdir={run}", f"--data_dir={data}", "--split=test"]
        + ["--slices=Male,Young,Male*Young", f"--output_dir={evaluation}"],
        None if trained else evaluation / "accuracy.png",
    )
    _step(
        "4/5 Export it for TensorFlow Serving",
        ["export", f"--workdir={run}", f"--saved_models_dir={exports}", "--name=demo"]
        + [f"--evaluation={evaluation / 'metrics.json'}"],
        None if trained else exports / "demo",
    )
    _write_unseen_faces(data, unseen)
    _step(
        "5/5 Predict the attributes of unseen faces",
        ["predict", f"--saved_model={exports / 'demo'}", "--aligned", f"--draw_dir={predictions}"]
        + [str(unseen)],
        None if trained else predictions,
    )
    seconds = time.monotonic() - started
    model = exports / "demo"
    print(f"""
Done in {seconds:.0f} s. Look at:
  {faces}  what each attribute looks like in the synthetic faces
  {run}/curves.png  losses, accuracy and thresholds (probability)
  {evaluation}/accuracy.png  accuracy by attribute; the numbers are in metrics.json beside it
  {predictions}/  unseen faces with what the model says of them
  {model}/  the export, as TensorFlow Serving reads it, its model card in assets.extra/
Next:
  .venv/bin/tensorboard --logdir={run}/tensorboard
  .venv/bin/tfac-predict --saved_model={model} --aligned --format=json {unseen}
With real photos, a few hundred will do (labels.csv: one row per picture, one column per attribute):
  .venv/bin/tfac-prepare --dataset=folder --source_dir=PICTURES --labels=labels.csv --data_dir=data
  .venv/bin/tfac-train --data_dir=data --workdir=runs/mine --freeze""")


def _step(title: str, command: list[str], output: Path | None) -> bool:
    """Runs ``tfac-COMMAND``, unless `output` is there; returns whether it ran."""
    print(f"\n== {title}", flush=True)
    if output is not None and output.exists():
        print(f"{output} is already there; reused")
        return False
    print(f"$ tfac-{' '.join(command)}", flush=True)
    program, *arguments = command
    status = subprocess.run([sys.executable, "-m", f"tfac.cli.{program}", *arguments]).returncode
    if status:
        raise TfacError(f"tfac-{program} ended with status {status}; see its message above")
    return True


def _draw_faces(path: Path) -> None:
    from tfac.data.synthetic.faces import save_contact_sheet

    if path.exists():
        print(f"{path} is already there; reused")
    else:
        save_contact_sheet(path)
        print(f"wrote {path}")


def _write_unseen_faces(data: Path, folder: Path) -> None:
    """Writes the first pictures of the test split as files, as a user would have them."""
    import tensorflow_datasets as tfds

    from tfac.data.records.info import read_info
    from tfac.files import whole_directory

    if folder.exists():
        return
    builder = tfds.builder_from_directory(read_info(data).path)
    records = builder.as_dataset(split="test", decoders={"image": tfds.decode.SkipDecoding()})
    with whole_directory(folder) as aside:
        for number, record in enumerate(records.take(NUM_UNSEEN_FACES).as_numpy_iterator()):
            (aside / f"unseen-{number:02d}.jpg").write_bytes(record["image"])


run = functools.partial(run_program, main)

if __name__ == "__main__":
    run()
