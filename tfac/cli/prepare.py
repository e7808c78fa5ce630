"""tfac-prepare: writes a data set of faces as records that the other programs read."""

import time
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from tfac.cli import import_tensorflow_quietly, run_program
from tfac.errors import ConfigError

FLAGS = flags.FLAGS

DATASETS = ("celeba", "synthetic_faces")

flags.DEFINE_enum("dataset", None, DATASETS, "Which data set to write.", required=True)
flags.DEFINE_string("data_dir", None, "Folder that data sets are written to.", required=True)

_CELEBA_FLAGS = ("source_dir", "landmarks", "workers", "on_error")
flags.DEFINE_string(
    "source_dir",
    None,
    "celeba: folder with img_align_celeba.zip (or the extracted folder), list_attr_celeba.txt and "
    "list_eval_partition.txt, flat or under Img/, Anno/ and Eval/.",
)
flags.DEFINE_enum(
    "landmarks",
    "dlib_72",
    ("dlib_72", "dlib_68", "celeba_5", "none"),
    "celeba: landmarks of each face: found by dlib in 72 or 68 points, the 5 points of "
    "list_landmarks_align_celeba.txt, or none.",
)
flags.DEFINE_integer(
    "workers", None, "celeba: number of worker processes, 1 or more; by default one a core.", 1
)
flags.DEFINE_enum(
    "on_error",
    "stop",
    ("stop", "skip"),
    "celeba: what to do about a broken picture or annotation row: stop there, or leave it out, "
    "name it and count it.",
)

_SYNTHETIC_PREFIX = "synthetic_"
flags.DEFINE_integer(
    "synthetic_image_size", 128, "synthetic_faces: side of a picture, pixels.", 32, 1024
)
flags.DEFINE_integer("synthetic_train_count", 6000, "synthetic_faces: pictures to train on.", 1)
flags.DEFINE_integer("synthetic_validation_count", 1000, "synthetic_faces: to choose by.", 1)
flags.DEFINE_integer("synthetic_test_count", 1000, "synthetic_faces: pictures to test on.", 1)
flags.DEFINE_integer("synthetic_seed", 0, "synthetic_faces: seed of all that is random.", 0)
flags.DEFINE_float(
    "synthetic_label_noise",
    0.0,
    "synthetic_faces: share of the labels of subjective attributes that are turned over, at least "
    "0 and below 0.5.",
    0.0,
    0.5,
)


def main(argv: Sequence[str]) -> None:
    """Prepares the data set that the flags name and says what was written."""
    if len(argv) > 1:
        raise ConfigError(f"expected flags alone. Received: {' '.join(argv[1:])}")
    _refuse_flags_of_other_datasets()
    import_tensorflow_quietly()
    if FLAGS.dataset == "celeba":
        _prepare_celeba()
    else:
        _prepare_synthetic_faces()


def _refuse_flags_of_other_datasets() -> None:
    for name in FLAGS:
        celeba = name in _CELEBA_FLAGS
        synthetic = name.startswith(_SYNTHETIC_PREFIX)
        foreign = celeba if FLAGS.dataset == "synthetic_faces" else synthetic
        if foreign and FLAGS[name].present:
            raise ConfigError(f"--{name} has no meaning for --dataset={FLAGS.dataset}")


def _prepare_celeba() -> None:
    if not FLAGS.source_dir:
        raise ConfigError("--dataset=celeba needs --source_dir, the folder of CelebA's files")
    from tfac.data.celeba_source import CelebASource
    from tfac.data.preparation import prepare

    started = time.monotonic()
    prepared = prepare(
        CelebASource(FLAGS.source_dir),
        FLAGS.data_dir,
        landmarks=FLAGS.landmarks,
        workers=FLAGS.workers,
        on_error=FLAGS.on_error,
    )
    _print_result(prepared.path, prepared.splits, prepared.already_there, started)
    if prepared.metadata["detected_share"] is not None:
        share = prepared.metadata["detected_share"]
        print(
            f"  faces detected: {share:.1%}; the landmarks of the others were predicted from where "
            "aligned pictures have their face"
        )
    for kind, count in prepared.metadata["skipped"].items():
        print(f"  skipped: {count} x {kind}")
    _print_next_command()


def _prepare_synthetic_faces() -> None:
    from tfac.data.synthetic_faces import synthetic_faces_builder
    from tfac.data.writing import only_writer, write_records

    started = time.monotonic()
    builder = synthetic_faces_builder(
        FLAGS.data_dir,
        image_size=FLAGS.synthetic_image_size,
        train_count=FLAGS.synthetic_train_count,
        validation_count=FLAGS.synthetic_validation_count,
        test_count=FLAGS.synthetic_test_count,
        seed=FLAGS.synthetic_seed,
        label_noise=FLAGS.synthetic_label_noise,
    )
    with only_writer(FLAGS.data_dir):
        already_there = builder.is_prepared()
        if not already_there:
            write_records(builder)
    splits = {name: split.num_examples for name, split in builder.info.splits.items()}
    _print_result(Path(builder.data_path), splits, already_there, started)
    _print_next_command()


def _print_result(path: Path, splits: dict[str, int], already_there: bool, started: float) -> None:
    if already_there:
        print(f"{path} is already there; nothing was done")
    else:
        print(f"wrote {path} in {time.monotonic() - started:.0f} s")
    for name, count in splits.items():
        print(f"  {name}: {count} pictures")


def _print_next_command() -> None:
    print(
        f"next: tfac-train --model=dmm_cnn --data_dir={FLAGS.data_dir} "
        f"--workdir=runs/{FLAGS.dataset}"
    )


def run() -> None:
    """Runs the program."""
    run_program(main)


if __name__ == "__main__":
    run()
