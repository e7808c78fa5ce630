"""tfac-prepare: writes a data set of faces as records that the other programs read."""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from tfac.cli import import_tensorflow_quietly, run_program
from tfac.errors import ConfigError

FLAGS = flags.FLAGS

# Data set to what it expects; `--dataset=list` prints it.
_EXPECTS = {
    "celeba": "--source_dir with img_align_celeba.zip (or the extracted folder), "
    "list_attr_celeba.txt and list_eval_partition.txt, flat or under Img/, Anno/ and Eval/",
    "celeb_a": "TFDS's own: --source_dir with celeb_a/2.1.0 or that folder, as tfds.load leaves it",
    "lfwa": "--source_dir with the folders lfw-deepfunneled/ or lfw/ or both, extracted, and "
    "either lfw_att_40.mat and indices_train_test.mat (--lfwa_protocol=mgg_net) or "
    "lfw_attributes.txt (dmm_cnn)",
    "folder": "your own pictures: --source_dir with pictures, folders below it included, or a zip "
    "archive, and --labels, a CSV or Parquet table with a row a picture and a column an attribute",
    "synthetic_faces": "nothing: it is drawn",
}
_READ = ("celeba", "celeb_a", "lfwa", "folder")
# Flag to the data sets that it means something to; --synthetic_* are synthetic_faces'.
_FLAGS = {
    "source_dir": _READ,
    "landmarks": _READ,
    "on_error": _READ,
    "lfwa_protocol": ("lfwa",),
    "name": ("folder",),
    "labels": ("folder",),
    "label_values": ("folder",),
    "key_column": ("folder",),
    "attributes": ("folder",),
    "attribute_groups": ("folder",),
    "split_column": ("folder",),
    "split_file": ("folder",),
    "split_shares": ("folder",),
    "group_column": ("folder",),
}

flags.DEFINE_enum(
    "dataset",
    None,
    (*_EXPECTS, "list"),
    "Which data set to write; list says what each expects and ends.",
    required=True,
)
flags.DEFINE_string("data_dir", None, "Folder that data sets are written to.")

flags.DEFINE_string(
    "source_dir",
    None,
    "all but synthetic_faces: where the pictures and files are; see --dataset=list.",
)
flags.DEFINE_enum(
    "landmarks",
    "dlib_72",
    ("dlib_72", "dlib_68", "celeba_5", "none"),
    "all but synthetic_faces: landmarks of each face: found by dlib in 72 or 68 points, the "
    "5 points that CelebA brings, or none.",
)
flags.DEFINE_integer(
    "workers",
    None,
    "Worker processes, 1 or more; by default one a core.",
    1,
)
flags.DEFINE_string(
    "beam_runner",
    None,
    "Apache Beam's runner (DirectRunner, DaskRunner, FlinkRunner, SparkRunner, "
    "DataflowRunner) that checks, annotates and writes, in place of --workers; "
    "--source_dir and --data_dir are to be at the same path on all of its workers.",
)
flags.DEFINE_multi_string(
    "beam_option",
    [],
    "An option of that runner, such as --beam_option=--direct_num_workers=2; may be given several "
    "times.",
)
flags.DEFINE_enum(
    "on_error",
    "stop",
    ("stop", "skip"),
    "all but synthetic_faces: what to do about a broken picture or annotation row: stop there, or "
    "leave it out, name it and count it.",
)
flags.DEFINE_enum(
    "lfwa_protocol",
    "mgg_net",
    ("mgg_net", "dmm_cnn"),
    "lfwa: whose labels and split: mgg_net has MMLab's labels, 6,263 pictures to train on and "
    "6,970 to test on; dmm_cnn has Kumar's labels, 13,144 (6,572 twice, original and "
    "deep-funneled) and 6,571.",
)
flags.DEFINE_string("name", "faces", "folder: what to call the data set, in lower case.")
flags.DEFINE_string(
    "labels",
    None,
    "folder: table (.csv, .tsv, .txt or .parquet) with a row a picture, whose path below "
    "--source_dir is in one column; the other columns are attributes, blank where unknown.",
)
flags.DEFINE_enum(
    "label_values",
    None,
    ("0/1", "-1/1", "false/true"),
    "folder: how the table writes no and yes; by default as its values say.",
)
flags.DEFINE_string("key_column", None, "folder: the pictures' column; by default the first.")
flags.DEFINE_list("attributes", [], "folder: columns that are attributes; by default all others.")
flags.DEFINE_string(
    "attribute_groups",
    None,
    "folder: JSON file with part_groups (part to attributes) and subjective_attributes; by default "
    'CelebA\'s, and a part "other" for attributes that CelebA does not have.',
)
flags.DEFINE_string("split_column", None, "folder: column with train, validation or test.")
flags.DEFINE_string("split_file", None, "folder: table with picture and split, in its place.")
flags.DEFINE_list(
    "split_shares",
    None,
    "folder: shares of train, validation and test, 0 to 1, in their place; 0.8,0.1,0.1 by default.",
)
flags.DEFINE_string(
    "group_column", None, "folder: column whose equal values stay in one split, as a person's name."
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
    if FLAGS.dataset == "list":
        for name, expects in _EXPECTS.items():
            print(f"{name}: {expects}")
        return
    if not FLAGS.data_dir:
        raise ConfigError("--data_dir: expected the folder that data sets are written to")
    _refuse_flags_of_other_datasets()
    if FLAGS.dataset in _READ and not FLAGS.source_dir:
        raise ConfigError(
            f"--dataset={FLAGS.dataset} needs --source_dir: {_EXPECTS[FLAGS.dataset]}"
        )
    if FLAGS.dataset == "folder" and not FLAGS.labels:
        raise ConfigError(f"--dataset=folder needs --labels: {_EXPECTS['folder']}")
    workers = _workers()
    import_tensorflow_quietly()
    if FLAGS.dataset == "synthetic_faces":
        _prepare_synthetic_faces(workers)
    else:
        _prepare_source(workers)


def _refuse_flags_of_other_datasets() -> None:
    for name in FLAGS:
        datasets = _FLAGS.get(name)
        if name.startswith(_SYNTHETIC_PREFIX):
            datasets = ("synthetic_faces",)
        if datasets and FLAGS.dataset not in datasets and FLAGS[name].present:
            raise ConfigError(f"--{name} has no meaning for --dataset={FLAGS.dataset}")


def _prepare_source(workers) -> None:
    from tfac.data.preparing.preparation import prepare
    from tfac.data.sources import open_source

    started = time.monotonic()
    options = {"lfwa": _lfwa_options, "folder": _folder_options}.get(FLAGS.dataset, dict)()
    source = open_source(FLAGS.dataset, FLAGS.source_dir, FLAGS.data_dir, **options)
    if FLAGS.dataset == "folder":
        print(
            f"{FLAGS.labels}: {len(source.attributes)} attributes, labels written as "
            f"{source.label_values}, blank where unknown"
        )
    prepared = prepare(
        source,
        FLAGS.data_dir,
        landmarks=FLAGS.landmarks,
        workers=workers,
        on_error=FLAGS.on_error,
    )
    _print_result(prepared.path, prepared.splits, prepared.already_there, started)
    if prepared.metadata["detected_share"] is not None:
        others = (
            "the landmarks of the others were predicted from where aligned pictures have their face"
            if source.alignment
            else "the others have no landmarks"
        )
        print(f"  faces detected: {prepared.metadata['detected_share']:.1%}; {others}")
    for kind, count in prepared.metadata["skipped"].items():
        print(f"  skipped: {count} x {kind}")
    _print_next_command(prepared.path.parent.name)


def _workers():
    """Returns who does the work, as the flags say."""
    from tfac.data.preparing.workers import Processes

    if not FLAGS.beam_runner:
        if FLAGS.beam_option:
            raise ConfigError("--beam_option needs --beam_runner")
        return Processes(FLAGS.workers) if FLAGS.workers else Processes()
    if FLAGS.workers:
        raise ConfigError("--workers and --beam_runner: expected one of them. Received: both")
    from tfac.data.preparing.beam import BeamWorkers

    beam = BeamWorkers(FLAGS.beam_runner, tuple(FLAGS.beam_option))
    beam.pipeline_options()  # unknown options are told before work begins
    FLAGS.data_dir = os.path.abspath(FLAGS.data_dir)  # workers may have been started elsewhere
    FLAGS.source_dir = FLAGS.source_dir and os.path.abspath(FLAGS.source_dir)
    return beam


def _lfwa_options() -> dict[str, Any]:
    return {"protocol": FLAGS.lfwa_protocol}


def _folder_options() -> dict[str, Any]:
    try:
        shares = FLAGS.split_shares and [float(share) for share in FLAGS.split_shares]
    except ValueError as error:
        raise ConfigError(f"--split_shares: expected numbers. {error}") from error
    return {
        "labels": FLAGS.labels,
        "name": FLAGS.name,
        "key_column": FLAGS.key_column,
        "split_column": FLAGS.split_column,
        "split_file": FLAGS.split_file,
        "split_shares": shares,
        "group_column": FLAGS.group_column,
        "attributes": FLAGS.attributes,
        "groups_file": FLAGS.attribute_groups,
        "label_values": FLAGS.label_values,
    }


def _prepare_synthetic_faces(workers) -> None:
    from tfac.data.records.info import read_info
    from tfac.data.synthetic.faces import SyntheticFacesConfig, prepare_synthetic_faces

    started = time.monotonic()
    config = SyntheticFacesConfig(
        image_size=FLAGS.synthetic_image_size,
        train_count=FLAGS.synthetic_train_count,
        validation_count=FLAGS.synthetic_validation_count,
        test_count=FLAGS.synthetic_test_count,
        seed=FLAGS.synthetic_seed,
        label_noise=FLAGS.synthetic_label_noise,
    )
    path, already_there = prepare_synthetic_faces(config, FLAGS.data_dir, workers)
    _print_result(path, read_info(path).splits, already_there, started)
    _print_next_command(FLAGS.dataset)


def _print_result(path: Path, splits: dict[str, int], already_there: bool, started: float) -> None:
    if already_there:
        print(f"{path} is already there; nothing was done")
    else:
        print(f"wrote {path} in {time.monotonic() - started:.0f} s")
    for name, count in splits.items():
        print(f"  {name}: {count} pictures")


def _print_next_command(name: str) -> None:
    print(f"next: tfac-train --data_dir={FLAGS.data_dir} --workdir=runs/{name}")


def run() -> None:
    """Runs the program."""
    run_program(main)


if __name__ == "__main__":
    run()
