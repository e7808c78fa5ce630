"""What a few hundred labelled pictures are worth: a frozen network beside one from scratch.

    python benchmarks/few_pictures.py --source_dir=CELEBA --output_dir=runs/few_pictures

CELEBA is a folder in CelebA's layout. Of its training split the first 200, 600 and 2,000 pictures
are taken; thresholds come from its validation split, and its test split judges. Beside each other:

- the two-crop network with dlib's weights, `--freeze`: a linear head alone is fitted;
- the plain ResNet18 from random weights by the protocol `small`, for as many steps as the whole of
  the training split would give it in four epochs.

Writes few_pictures.png, .json and .md to --output_dir.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from absl import app, flags
from reporting import about

_SOURCE_DIR = flags.DEFINE_string("source_dir", None, "Folder in CelebA's layout.", required=True)
_OUTPUT_DIR = flags.DEFINE_string("output_dir", "runs/few_pictures", "Where to write.")
_COUNTS = flags.DEFINE_list("counts", ["200", "600", "2000"], "Training pictures.")
_STEPS = flags.DEFINE_integer("steps", 752, "Training steps of 32 pictures from scratch.", 1)
_SEEDS = flags.DEFINE_integer("seeds", 1, "Runs of each, with seeds 0, 1, ...", 1)

_PARTITION = "list_eval_partition.txt"
_METRICS = {
    "accuracy": ("exact", "mean_accuracy"),
    "balanced accuracy": ("exact_balanced", "mean_balanced_accuracy"),
    "average precision": ("exact", "mean_average_precision"),
}
_NETWORKS = {
    "frozen": ("two_crop_frozen", "small_pretrained", "two-crop network, dlib's weights, frozen"),
    "scratch": ("baseline", "small", "plain ResNet18 from random weights"),
}


def main(argv: Sequence[str]) -> None:
    """Runs what is not there yet, and writes."""
    del argv
    output = Path(_OUTPUT_DIR.value)
    rows = [row for count in map(int, _COUNTS.value) for row in _measure(count, output)]
    versions = about(("tensorflow", "keras", "tfac"))
    (output / "few_pictures.json").write_text(json.dumps({**versions, "rows": rows}, indent=2))
    (output / "few_pictures.md").write_text(_table(rows))
    _draw(rows, output / "few_pictures.png")
    print(_table(rows))


def _measure(count: int, output: Path) -> list[dict]:
    folder = output / str(count)
    data_dir = folder / "data"
    if not data_dir.is_dir():
        _write_source(Path(_SOURCE_DIR.value), folder / "source", count)
        source = f"--source_dir={folder / 'source'}"
        options = ["--dataset=celeba", "--landmarks=none", "--on_error=skip"]
        _run("prepare", source, f"--data_dir={data_dir}", *options)
    rows = []
    for name, (experiment, protocol, title) in _NETWORKS.items():
        options = [f"--data_dir={data_dir}", f"--output_dir={folder}", f"--seeds={_SEEDS.value}"]
        if name == "scratch":
            options.append(f"--option=epochs={-(-_STEPS.value // (count // 32))}")
            options.append(f"--option=update_interval={_STEPS.value // 4}")
        _run("experiment", f"--experiment={experiment}", f"--protocol={protocol}", *options)
        for seed in range(_SEEDS.value):
            result = folder / protocol / experiment / f"seed_{seed}" / "result.json"
            judged = json.loads(result.read_text())["splits"]["test"]
            figures = {key: judged[rule][metric] for key, (rule, metric) in _METRICS.items()}
            rows.append({"pictures": count, "network": title, "seed": seed, **figures})
    return rows


def _run(program: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", f"tfac.cli.{program}", *arguments], check=True)


def _write_source(source: Path, folder: Path, count: int) -> None:
    """Makes a folder like CelebA's that has fewer training rows."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if path.name != _PARTITION and not (folder / path.name).exists():
            (folder / path.name).symlink_to(path.resolve())
    kept = 0
    with (folder / _PARTITION).open("w") as file:
        for line in (source / _PARTITION).read_text().splitlines():
            kept += line.endswith(" 0")
            if line and (not line.endswith(" 0") or kept <= count):
                file.write(f"{line}\n")


def _table(rows: list[dict]) -> str:
    lines = [f"| training pictures | network | {' | '.join(_METRICS)} |"]
    lines.append("|---|---|" + "---|" * len(_METRICS))
    for row in rows:
        figures = " | ".join(f"{row[name]:.2f}" for name in _METRICS)
        lines.append(f"| {row['pictures']:,} | {row['network']} | {figures} |")
    return "\n".join(lines) + "\n"


def _draw(rows: list[dict], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(_METRICS), figsize=(11, 3.6), layout="constrained")
    for axis, metric in zip(axes, _METRICS, strict=True):
        for *_, title in _NETWORKS.values():
            own = [row for row in rows if row["network"] == title]
            axis.plot(
                [row["pictures"] for row in own],
                [row[metric] for row in own],
                marker="o",
                label=title,
            )
        axis.set(xscale="log", xlabel="training pictures", title=f"{metric}, %")
        ticks = sorted({row["pictures"] for row in rows})
        axis.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    app.run(main)
