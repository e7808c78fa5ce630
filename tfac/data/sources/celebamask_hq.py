"""CelebAMask-HQ as it is distributed: CelebA-HQ's pictures under its own numbers.

| file | what it holds |
|---|---|
| `CelebA-HQ-img/` | `0.jpg` to `29999.jpg` |
| `CelebAMask-HQ-attribute-anno.txt` | their number; 40 names; name and 40 of -1 and 1 |
| `CelebA-HQ-to-CelebA-mapping.txt` | number, CelebA's number and CelebA's file |
| `list_eval_partition.txt` or `.csv` | CelebA's own; may be left out |

Reference:
    Lee et al., "MaskGAN: Towards Diverse and Interactive Facial Image Manipulation", CVPR 2020.
"""

import os
from pathlib import Path

from tfac.data.sources.celeba import PARTITION_NAMES, find_file
from tfac.data.sources.folder import FolderSource, checked_split
from tfac.data.sources.keys import PictureKeys
from tfac.data.sources.problems import Problems
from tfac.data.sources.table import Table

PICTURES_NAME = "CelebA-HQ-img"
LABELS_NAME = "CelebAMask-HQ-attribute-anno.txt"
MAPPING_NAME = "CelebA-HQ-to-CelebA-mapping.txt"


class CelebAMaskHQSource(FolderSource):
    """A copy of CelebAMask-HQ, split as CelebA splits the same pictures.

    Without CelebA's partition file pictures are dealt out by shares, DEFAULT_SHARES of
    `FolderSource`; some that CelebA tests on are trained on then.

    Args:
        source_dir: the folder with the files above, flat or in folders below it.

    Raises:
        DataError: a file is missing, or of another layout.
    """

    description = "CelebAMask-HQ (Lee et al., CVPR 2020): faces in high quality with 40 attributes."
    homepage = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA/CelebAMask_HQ.html"

    def __init__(self, source_dir: str | os.PathLike):
        folder = Path(source_dir)
        partition = find_file(folder, *PARTITION_NAMES, required=False)
        super().__init__(
            find_file(folder, PICTURES_NAME),
            find_file(folder, LABELS_NAME),
            name="celebamask_hq",
            split_file=partition,
        )
        if partition:
            self._mapping = Table(find_file(folder, MAPPING_NAME))
            self._mapping.require(["idx", "orig_file"])
            self.annotation_files.append(self._mapping.path)
        else:
            self.notes.append(
                f"without CelebA's {PARTITION_NAMES[0]}, pictures are dealt out by shares, and "
                "some that CelebA tests on are trained on"
            )

    def _read_split_file(self, keys: PictureKeys, problems: Problems) -> dict[str, str]:
        if self._split_table is None:
            return {}
        partition: dict[str, str] = {}
        for line, row in self._split_table.rows(problems):
            name, split = row.values()
            try:
                partition[name] = checked_split(split)
            except ValueError as error:
                problems.report("malformed row", f"{self._split_table.path} line {line}: {error}")
        return {
            name: partition[row["orig_file"]]
            for _, row in self._mapping.rows(problems)
            if row["orig_file"] in partition
            for name in keys.find(row["idx"])
        }
