"""tfac-data-report: what a prepared data set holds and what is wrong with it.

Example:
    tfac-data-report --data_dir=data --fail_on=duplicates_across_splits,label_conflicts
"""

import functools
import shlex
from pathlib import Path

from absl import flags

from tfac.cli import import_tensorflow_quietly, run_program
from tfac.data_report.problems import PROBLEMS
from tfac.errors import ConfigError

FAILED = 2  # exit status where a problem of --fail_on was found; 1 is an error

_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "prepared data set, as tfac-prepare wrote it", required=True
)
_OUTPUT_DIR = flags.DEFINE_string(
    "output_dir",
    None,
    "folder for index.html, report.json, schema.pbtxt and pictures; by default "
    "runs/data_report/NAME",
)
_FAIL_ON = flags.DEFINE_list(
    "fail_on",
    [],
    f"problems that end the program with status {FAILED}: {', '.join(PROBLEMS)} or all",
)
_MIN_SIDE = flags.DEFINE_integer(
    "min_side", 32, "shortest side of a picture that is not tiny, pixels, 1 or more", 1
)
_MAX_DRIFT = flags.DEFINE_float(
    "max_drift",
    5.0,
    "largest difference of an attribute's frequency between two splits that is no problem, points "
    "of percent, 0 to 100; a larger one is none either where it may be chance: up to 3 standard "
    "deviations, so that small splits may differ more",
    0.0,
    100.0,
)
_SCHEMA = flags.DEFINE_string(
    "schema", None, "schema.pbtxt of an earlier report that this data is held against"
)

_LABEL_RULES = flags.DEFINE_string(
    "label_rules",
    None,
    "JSON file with label_rules, what labels cannot be together, in the form of "
    "tfac/celeba_label_rules.json; by default those, as far as the data set has "
    "CelebA's attributes",
)

_EXAMPLES = 16  # pairs of pictures drawn


def main() -> int:
    """Reports; returns 0, or `FAILED` where a problem of `--fail_on` was found."""
    fail_on = list(PROBLEMS) if _FAIL_ON.value == ["all"] else _FAIL_ON.value
    unknown = [kind for kind in fail_on if kind not in PROBLEMS]
    if unknown:
        raise ConfigError(
            f"--fail_on: expected some of {', '.join(PROBLEMS)}, or all. "
            f"Received: {', '.join(unknown)}"
        )
    if "schema" in _FAIL_ON.value and not _SCHEMA.value:
        raise ConfigError("--fail_on=schema needs --schema, what to hold the data against")
    import_tensorflow_quietly()

    from tfac.data.records.info import read_info
    from tfac.data_report.figures import (
        draw_correlations,
        draw_frequencies,
        draw_mean_landmarks,
        draw_pairs,
    )
    from tfac.data_report.page import format_report, render_page
    from tfac.data_report.report import create_report
    from tfac.data_report.schema import create_schema, read_schema, write_schema
    from tfac.data_report.statistics import read_pictures, read_statistics
    from tfac.files import only_writer, whole_file, write_json
    from tfac.label_rules import read_rules

    info = read_info(_DATA_DIR.value)
    schema = read_schema(Path(_SCHEMA.value)) if _SCHEMA.value else None
    rules = info.groups.label_rules
    if _LABEL_RULES.value:
        rules = read_rules(Path(_LABEL_RULES.value), info.attributes)
    output_dir = Path(_OUTPUT_DIR.value or Path("runs", "data_report", info.name))
    with only_writer(output_dir, "--output_dir"):
        statistics = {
            name: read_statistics(info, name) for name, count in info.splits.items() if count
        }
        report = create_report(
            info,
            statistics,
            min_side=_MIN_SIDE.value,
            max_drift=_MAX_DRIFT.value,
            rules=rules,
            schema=schema,
        )
        examples = [(each["pictures"][:2], "copies") for each in report["duplicates"]]
        examples += [(e["pictures"], f"{e['bits']} bits") for e in report["near_duplicates"]]
        examples = examples[:_EXAMPLES]
        names = {name for pair, _ in examples for name in pair}
        pictures = {}
        for split in statistics:
            keys = {
                name.removeprefix(f"{split}/") for name in names if name.startswith(f"{split}/")
            }
            found = read_pictures(info, split, keys)
            pictures |= {f"{split}/{key}": picture for key, picture in found.items()}
        pairs = [(f"{a}\n{b}\n{text}", pictures[a], pictures[b]) for (a, b), text in examples]
        figures = {
            "frequencies.png": ("How often each attribute is shown", draw_frequencies(report)),
            "correlations.png": ("Which attributes occur together", draw_correlations(report)),
            "landmarks.png": ("Mean landmarks", draw_mean_landmarks(report)),
            "pairs.png": ("Copies and near copies", draw_pairs(pairs) if pairs else None),
        }
        figures = {file: drawn for file, drawn in figures.items() if drawn[1] is not None}
        for file, (_, figure) in figures.items():
            with whole_file(output_dir / file) as aside:
                figure.savefig(aside)
        summaries = {split: part.summary for split, part in statistics.items()}
        write_schema(create_schema(info, summaries), output_dir / "schema.pbtxt")
        write_json(output_dir / "report.json", report)
        headings = {file: heading for file, (heading, _) in figures.items()}
        with whole_file(output_dir / "index.html") as aside:
            aside.write_text(render_page(report, headings), encoding="utf-8")
    print(format_report(report))
    print(
        f"\nwritten: {output_dir / 'index.html'}, report.json, schema.pbtxt, {', '.join(figures)}"
    )
    train = ["tfac-train", f"--data_dir={_DATA_DIR.value}", "--workdir=runs/new"]
    print(f"next:    {shlex.join(train)}")
    failed = [kind for kind in fail_on if report["problems"][kind]]
    if failed:
        print(f"failed:  {', '.join(failed)} (--fail_on)")
    return FAILED if failed else 0


run = functools.partial(run_program, main)

if __name__ == "__main__":
    run()
