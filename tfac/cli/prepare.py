"""tfac-prepare: writes a data set of faces as records that the other programs read."""

import functools
import os
import shlex
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from tfac.cli import import_tensorflow_quietly, run_program
from tfac.errors import ConfigError
from tfac.files import write_json

FLAGS = flags.FLAGS

# Data set to what it expects; `--dataset=list` prints it.
_EXPECTS = {
    "celeba": """CelebA: --source_dir with, flat or in folders such as Img/, Anno/ and Eval/,
  img_align_celeba.zip, or that folder extracted (JPEG, or the PNG edition)
  list_attr_celeba.txt, or .csv as Kaggle has it
  list_eval_partition.txt, or .csv
  list_landmarks_align_celeba.txt, or .csv, for --landmarks=celeba_5""",
    "celeb_a": "TFDS's own: --source_dir with celeb_a/2.1.0 or that folder, as tfds.load leaves it",
    "celebamask_hq": """CelebAMask-HQ: --source_dir with
  CelebA-HQ-img/, extracted
  CelebAMask-HQ-attribute-anno.txt
  CelebA-HQ-to-CelebA-mapping.txt and CelebA's list_eval_partition.txt, for CelebA's splits""",
    "lfwa": """LFW's pictures: --source_dir with
  lfw-deepfunneled/ or lfw/ or both, extracted
  lfw_att_40.mat and indices_train_test.mat (--lfwa_protocol=mgg_net)
  lfw_attributes.txt (--lfwa_protocol=dmm_cnn)""",
    "folder": """your own pictures and tables, also FairFace, UTKFace and MAAD-Face:
  --source_dir, a folder with pictures in it or below, or a zip archive of them (JPEG, PNG, WebP,
    AVIF, GIF, BMP or TIFF; HEIC with the extra heic)
  --labels, a CSV or Parquet table with a row a picture and a column an attribute; Parquet may hold
    the pictures, as Hugging Face writes it
  --classes, a JSON file, where columns have words or classes (--propose_classes writes one)""",
    "synthetic_faces": "nothing: it is drawn",
}
_READ = ("celeba", "celeb_a", "celebamask_hq", "lfwa", "folder")
_ALL_BUT = "all but synthetic_faces"
_SYNTHETIC_PREFIX = "synthetic_"
# What --faces came to.
_FACES = {
    "boxed": "pictures: the face in each row's box, cropped as tfac-predict crops it",
    "largest": "pictures: the largest face of each photo, cropped as tfac-predict crops it",
    "aligned": "pictures: faces cropped as CelebA's, as tfac-predict crops those of photos",
    "whole": "pictures: whole, as they are; tfac-predict takes whole pictures too",
}

flags.DEFINE_enum(
    "dataset",
    None,
    (*_EXPECTS, "list"),
    "Which data set to write; list says what each expects and ends.",
    required=True,
)
flags.DEFINE_string("data_dir", None, "Folder that data sets are written to.")

flags.DEFINE_integer("workers", None, "Worker processes, 1 or more; by default one a core.", 1)
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

_datasets_of_flag: dict[str, tuple[str, ...]] = {}


def _define(
    of: str,
    name: str,
    default: Any,
    help: str,
    *,
    choices: Sequence[str] | None = None,
    limits: Sequence[float] = (),
    kind: type | None = None,
) -> None:
    """Defines a flag that means something to the data sets `of` alone: one, or _ALL_BUT."""
    _datasets_of_flag[name] = _READ if of == _ALL_BUT else (of,)
    help = f"{of}: {help}"
    if choices:
        flags.DEFINE_enum(name, default, choices, help)
        return
    define = {
        bool: flags.DEFINE_boolean,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        list: flags.DEFINE_list,
    }
    define.get(kind or type(default), flags.DEFINE_string)(name, default, help, *limits)


_define(_ALL_BUT, "source_dir", None, "where the pictures and files are; see --dataset=list.")
_define(
    _ALL_BUT,
    "landmarks",
    "dlib_72",
    "landmarks of each face: found by dlib in 72 or 68 points, the 5 points that CelebA brings, or "
    "none.",
    choices=("dlib_72", "dlib_68", "celeba_5", "none"),
)
_define(
    _ALL_BUT,
    "faces",
    None,
    "what is made of the pictures: largest finds the largest face of a photo and crops it as "
    "CelebA's pictures are cropped, which is what prediction does with photos; aligned says that "
    "they are cropped so already; whole keeps them as they are, and prediction then takes whole "
    "pictures too. By default largest for own pictures (whole with --landmarks=none), and what the "
    "pictures of the other data sets are.",
    choices=("largest", "aligned", "whole"),
)
_define(
    _ALL_BUT,
    "detector",
    "mtcnn",
    "what finds the faces; prediction then finds them with the same by default.",
    choices=("mtcnn", "dlib"),
)
_define(
    _ALL_BUT,
    "align_by",
    "dlib",
    "what faces are turned upright by: dlib's 68 landmarks, whose licence excludes commercial use, "
    "or the five points of the detector, with --landmarks=none.",
    choices=("dlib", "points"),
)
_define(
    _ALL_BUT,
    "on_error",
    "stop",
    "what to do about a broken picture or annotation row: stop there, or leave it out, name it and "
    "count it.",
    choices=("stop", "skip"),
)
_define(
    _ALL_BUT,
    "limit",
    [],
    "a small copy: the most pictures of each split, as 1000, or of some, as train=1000,test=100; "
    "always the same ones.",
)
_define(
    "celeba",
    "resized_whole",
    False,
    "with --landmarks=celeba_5: pictures of another shape than 178x218 show all of it, resized and "
    "not cropped.",
)
_define(
    "lfwa",
    "lfwa_protocol",
    "mgg_net",
    "whose labels and split: mgg_net has MMLab's labels, 6,263 pictures to train on and 6,970 to "
    "test on; dmm_cnn has Kumar's labels, 13,144 (6,572 twice, original and deep-funneled) and "
    "6,571.",
    choices=("mgg_net", "dmm_cnn"),
)
_define("folder", "name", "faces", "what to call the data set, in lower case.")
_define(
    "folder",
    "labels",
    [],
    "table (.csv, .tsv, .txt or .parquet) with one row per picture, whose path below --source_dir "
    "is in one column, or per folder of pictures; the other columns are attributes, blank where "
    "unknown. Several of the same columns may be given, with commas between.",
)
_define(
    "folder",
    "label_values",
    None,
    "how the table writes no and yes, as 0/1, -1/1, false/true or no/yes, or no, unknown and yes, "
    "as -1/0/1; by default as its values say.",
)
_define(
    "folder",
    "label_cut",
    None,
    "labels are shares of annotators, 0 to 1, and this share or more is yes.",
    limits=(0.0, 1.0),
    kind=float,
)
_define(
    "folder",
    "classes",
    None,
    "JSON file that makes attributes of columns with words, classes or numbers, or of the parts of "
    "the pictures' names; see docs/data.md.",
)
_define(
    "folder",
    "propose_classes",
    None,
    "write a file for --classes to begin with, from the table, and end.",
)
_define("folder", "key_column", None, "the pictures' column; by default the first.")
_define(
    "folder",
    "box_columns",
    [],
    "columns with left, top, right and bottom of a face in pixels of the photo, in place of "
    "--faces; a photo may then have a row for each of its faces.",
)
_define("folder", "attributes", [], "columns that are attributes; by default all others.")
_define(
    "folder",
    "attribute_groups",
    None,
    "JSON file with part_groups (part to attributes) and subjective_attributes, and perhaps "
    "mirrored_pairs (of attributes that swap in a mirror image), not_mirrored (those that it "
    "does not tell) and label_rules (what cannot be together, as in "
    'tfac/celeba_label_rules.json); by default CelebA\'s, a part "other" for attributes that '
    "CelebA does not have, and pairs of names with left and right.",
)
_define(
    "folder",
    "split_column",
    None,
    "column with train, validation (val, valid, dev) or test, or CelebA's 0, 1 or 2.",
)
_define("folder", "split_file", None, "table with picture and split, in its place.")
_define(
    "folder",
    "split_shares",
    [],
    "shares of train, validation and test, 0 to 1, in their place; 0.8,0.1,0.1 by default.",
)
_define(
    "folder",
    "group_column",
    None,
    "column whose equal values stay in one split, as a person's name.",
)
_define(
    "synthetic_faces", "synthetic_image_size", 128, "side of a picture, pixels.", limits=(32, 1024)
)
_define("synthetic_faces", "synthetic_train_count", 6000, "pictures to train on.", limits=(1,))
_define("synthetic_faces", "synthetic_validation_count", 1000, "to choose by.", limits=(1,))
_define("synthetic_faces", "synthetic_test_count", 1000, "pictures to test on.", limits=(1,))
_define("synthetic_faces", "synthetic_seed", 0, "seed of all that is random.", limits=(0,))
_define(
    "synthetic_faces",
    "synthetic_label_noise",
    0.0,
    "share of the labels of subjective attributes that are turned over, at least 0 and below 0.5.",
    limits=(0.0, 0.5),
)


def main() -> None:
    """Prepares the data set that the flags name and says what was written."""
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
    if FLAGS.dataset == "folder" and not FLAGS.labels and not FLAGS.classes:
        raise ConfigError(f"--dataset=folder needs --labels: {_EXPECTS['folder']}")
    workers = _workers()
    import_tensorflow_quietly()
    if FLAGS.propose_classes:
        _propose_classes()
        return
    if FLAGS.dataset == "synthetic_faces":
        _prepare_synthetic_faces(workers)
    else:
        _prepare_source(workers)


def _refuse_flags_of_other_datasets() -> None:
    for name, datasets in _datasets_of_flag.items():
        if FLAGS.dataset not in datasets and FLAGS[name].present:
            raise ConfigError(f"--{name} has no meaning for --dataset={FLAGS.dataset}")


def _prepare_source(workers) -> None:
    from tfac.data.preparing.preparation import SKIPPED_NAME, prepare
    from tfac.data.records.info import read_info
    from tfac.data.sources import open_source

    started, limit = time.monotonic(), _limit()
    source = open_source(FLAGS.dataset, FLAGS.source_dir, FLAGS.data_dir, **_options())
    if FLAGS.dataset == "folder":
        print(
            f"{', '.join(FLAGS.labels) or FLAGS.classes}: {len(source.attributes)} attributes, "
            f"labels written as {source.label_values}, blank where unknown"
        )
    for note in source.notes:
        print(f"  {note}")
    prepared = prepare(
        source,
        FLAGS.data_dir,
        landmarks=FLAGS.landmarks,
        faces=FLAGS.faces,
        detector=FLAGS.detector,
        align_by=FLAGS.align_by,
        workers=workers,
        on_error=FLAGS.on_error,
        limit=limit,
    )
    _print_result(prepared.path, prepared.splits, prepared.already_there, started)
    metadata = prepared.metadata
    choice, share = metadata.get("faces_choice"), metadata["detected_share"]
    if choice:  # data sets of earlier versions do not say
        print(f"  {_FACES[choice]}")
    if metadata.get("several_faces"):
        print(f"  photos with several faces: {metadata['several_faces']}")
    if share is not None:
        others = (
            "the landmarks of the others were predicted from where aligned pictures have their face"
            if source.alignment or choice == "aligned"
            else "the others have no landmarks"
        )
        print(f"  faces detected: {share:.1%}" + (f"; {others}" if share < 1 else ""))
    groups = read_info(prepared.path).groups
    for pair in groups.mirrored_pairs:
        print(f"  mirrored: {' and '.join(pair)} swap in a mirror image")
    for name in groups.not_mirrored:
        print(f"  mirrored: a mirror image does not tell {name}")
    if groups.mirrored_pairs or groups.not_mirrored:
        print("  (--attribute_groups with mirrored_pairs and not_mirrored says otherwise)")
    for kind, count in prepared.metadata["skipped"].items():
        print(f"  skipped: {count} x {kind}")
    if (prepared.path / SKIPPED_NAME).exists():
        print(f"  each of them: {prepared.path / SKIPPED_NAME}")
    _print_next_command(prepared.path.parent.name)


def _propose_classes() -> None:
    from tfac.data.sources.labels import propose_classes
    from tfac.data.sources.table import column_values

    values = column_values(
        [Path(path) for path in FLAGS.labels],
        FLAGS.attributes,
        key_column=FLAGS.key_column,
        but=(FLAGS.split_column, FLAGS.group_column),
    )
    content = propose_classes(values)
    write_json(FLAGS.propose_classes, content, indent=2)
    for column in values:
        names = [n for n, entry in content["attributes"].items() if entry["column"] == column]
        print(f"{column}: {', '.join(names) or 'left out, as it has too many words'}")
    print(f"wrote {FLAGS.propose_classes}; look through it, then --classes={FLAGS.propose_classes}")


def _limit() -> dict[str, int] | None:
    """Returns split to the most pictures of it, as the flag says."""
    try:
        if len(FLAGS.limit) == 1 and "=" not in FLAGS.limit[0]:
            return dict.fromkeys(("train", "validation", "test"), int(FLAGS.limit[0]))
        pairs = [text.split("=") for text in FLAGS.limit]
        return {name.strip(): int(count) for name, count in pairs} or None
    except ValueError as error:
        raise ConfigError(
            "--limit: expected a number, or splits with theirs, as train=1000,test=100. Received: "
            f"{','.join(FLAGS.limit)}"
        ) from error


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


def _options() -> dict[str, Any]:
    """Returns what the source of the data set takes beside its folder."""
    if FLAGS.dataset == "lfwa":
        return {"protocol": FLAGS.lfwa_protocol}
    if FLAGS.dataset == "celeba":
        return {"resized_whole": FLAGS.resized_whole}
    if FLAGS.dataset != "folder":
        return {}
    own = [name for name, datasets in _datasets_of_flag.items() if datasets == ("folder",)]
    options = {name: FLAGS[name].value for name in own}
    try:
        shares = [float(share) for share in options.pop("split_shares")] or None
    except ValueError as error:
        raise ConfigError(f"--split_shares: expected numbers. {error}") from error
    del options["propose_classes"]
    groups = options.pop("attribute_groups")
    return {**options, "split_shares": shares, "groups_file": groups}


def _prepare_synthetic_faces(workers) -> None:
    from tfac.data.records.info import read_info
    from tfac.data.synthetic.faces import SyntheticFacesConfig, prepare_synthetic_faces

    started = time.monotonic()
    own = [name for name in _datasets_of_flag if name.startswith(_SYNTHETIC_PREFIX)]
    options = {name.removeprefix(_SYNTHETIC_PREFIX): FLAGS[name].value for name in own}
    config = SyntheticFacesConfig(**options)
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
    train = ["tfac-train", f"--data_dir={FLAGS.data_dir}", f"--workdir=runs/{name}"]
    print(f"next: {shlex.join(train)}")


run = functools.partial(run_program, main)

if __name__ == "__main__":
    run()
