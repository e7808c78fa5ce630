"""How often each attribute is true along CelebA's row number: labels alone, no picture.

    python benchmarks/label_frequencies.py --source_dir=CELEBA --output_dir=runs/label_frequencies

CELEBA is a folder with list_attr_celeba.txt and list_eval_partition.txt, of all rows or of some. Of
each attribute the share of true labels is printed by split, the largest difference between two
splits first, and label_frequencies.png shows those that differ most along the row number.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path

import matplotlib
import numpy as np
from absl import app, flags

matplotlib.use("agg")
import matplotlib.pyplot as plt

_SOURCE_DIR = flags.DEFINE_string("source_dir", None, "Folder of the two tables.", required=True)
_OUTPUT_DIR = flags.DEFINE_string("output_dir", "runs/label_frequencies", "Where to write.")
_WINDOW = flags.DEFINE_integer("window", 10000, "Row numbers that a point of the curves covers.", 1)

_SPLITS = ("train", "validation", "test")
_SHOWN = 6


def main(argv: Sequence[str]) -> None:
    """Counts, prints and draws."""
    del argv
    source, output = Path(_SOURCE_DIR.value), Path(_OUTPUT_DIR.value)
    names, rows, labels = read_labels(source / "list_attr_celeba.txt")
    splits = read_splits(source / "list_eval_partition.txt")
    split = np.array([splits[row] for row in rows])
    present = [i for i in range(len(_SPLITS)) if (split == i).any()]
    shares = np.array([labels[split == i].mean(axis=0) for i in present])  # [splits, A]
    order = np.argsort(shares.min(axis=0) - shares.max(axis=0), kind="stable")
    print(f"{'percent true':<22}", *(f"{_SPLITS[i]:>11}" for i in present))
    for a in order:
        print(f"{names[a]:<22}", *(f"{100 * share:>11.1f}" for share in shares[:, a]))
    output.mkdir(parents=True, exist_ok=True)
    draw(names, rows, labels, split, order[:_SHOWN], output / "label_frequencies.png")
    print(f"wrote {output / 'label_frequencies.png'}")


def read_labels(path: Path) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Returns names [A], row numbers [N] and labels bool [N, A] of list_attr_celeba.txt."""
    with path.open() as lines:
        next(lines)
        names = next(lines).split()
        cells = [line.split() for line in lines]
    rows = np.array([int(Path(row[0]).stem) for row in cells])
    return names, rows, np.array([row[1:] for row in cells]) == "1"


def read_splits(path: Path) -> dict[int, int]:
    """Returns the split (0, 1, 2) of each row number of list_eval_partition.txt."""
    cells = (line.split() for line in path.read_text().splitlines())
    return {int(Path(name).stem): int(split) for name, split in cells}


def draw(names, rows, labels, split, shown, path: Path) -> None:
    """Draws the share of true labels in windows of the row number that end at splits' ends."""
    figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
    for number, a in enumerate(shown):
        for i in np.unique(split):
            of_split = rows[split == i]
            windows = max(1, round((of_split.max() - of_split.min()) / _WINDOW.value))
            edges = np.linspace(of_split.min(), of_split.max() + 1, windows + 1)
            points = [
                (
                    (low + high) / 2,
                    100 * labels[(split == i) & (low <= rows) & (rows < high), a].mean(),
                )
                for low, high in itertools.pairwise(edges)
            ]
            label = names[a] if i == split.min() else None
            axes.plot(*zip(*points, strict=True), "o-", ms=3, color=f"C{number}", label=label)
    for i in np.unique(split):
        first = rows[split == i].min()
        axes.axvline(first, color="0.6", lw=0.8)
        axes.text(first, 1.01, f" {_SPLITS[i]}", transform=axes.get_xaxis_transform())
    axes.set(xlabel="row number of CelebA", ylabel="percent of true labels", ylim=(0, None))
    figure.legend(loc="outside right upper", frameon=False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    app.run(main)
