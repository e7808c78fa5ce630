import pytest

from tests.data.celeba_files import encoded_picture, label, write_lines
from tfac.attributes import ATTRIBUTES
from tfac.data.sources.celebamask_hq import CelebAMaskHQSource
from tfac.data.sources.problems import Problems
from tfac.errors import DataError

COUNT = 12
ORIGINALS = [7 * number % COUNT for number in range(COUNT)]  # of each picture, CelebA's number


@pytest.fixture
def folder(tmp_path):
    """CelebAMask-HQ beside CelebA's partition, where every third is to validate, then to test."""
    (tmp_path / "CelebA-HQ-img").mkdir()
    rows, mapping = [], ["idx         orig_idx    orig_file"]
    for number, original in enumerate(ORIGINALS):
        (tmp_path / "CelebA-HQ-img" / f"{number}.jpg").write_bytes(encoded_picture(number))
        values = " ".join("1" if label(number, j) else "-1" for j in range(len(ATTRIBUTES)))
        rows.append(f"{number}.jpg  {values} ")
        mapping.append(f"{number:<11} {original:<11} {original + 1:06d}.jpg")
    header = [str(COUNT), f"{' '.join(ATTRIBUTES)} "]
    write_lines(tmp_path / "CelebAMask-HQ-attribute-anno.txt", [*header, *rows])
    write_lines(tmp_path / "CelebA-HQ-to-CelebA-mapping.txt", mapping)
    write_lines(
        tmp_path / "list_eval_partition.txt", [f"{i + 1:06d}.jpg {i % 3}" for i in range(COUNT)]
    )
    return tmp_path


def test_pictures_are_in_the_splits_of_celeba(folder):
    source = CelebAMaskHQSource(folder)
    splits = source.read_splits(Problems())
    assert source.attributes == ATTRIBUTES and not source.notes
    for part, split in enumerate(splits.values()):
        numbers = [number for number, original in enumerate(ORIGINALS) if original % 3 == part]
        assert split.names == [f"{number}.jpg" for number in numbers]
        assert split.labels.tolist() == [[label(n, j) for j in range(40)] for n in numbers]
    assert list(splits) == ["train", "validation", "test"]


def test_pictures_may_be_numbered_with_zeros(folder):
    for path in list((folder / "CelebA-HQ-img").iterdir()):
        path.rename(path.with_stem(f"{int(path.stem):05d}"))
    names = CelebAMaskHQSource(folder).read_splits(Problems())["train"].names
    assert names[:2] == ["00000.jpg", "00003.jpg"]


def test_without_celeba_s_partition_it_is_said_that_splits_are_shares(folder):
    (folder / "list_eval_partition.txt").unlink()
    (folder / "CelebA-HQ-to-CelebA-mapping.txt").unlink()
    source = CelebAMaskHQSource(folder)
    assert "dealt out by shares" in source.notes[0]
    assert sum(len(split.names) for split in source.read_splits(Problems()).values()) == COUNT


def test_broken_files_are_named(folder):
    path = folder / "list_eval_partition.txt"
    path.write_text(path.read_text().replace("000003.jpg 2", "000003.jpg 3"))
    with pytest.raises(DataError, match="partition.txt line 3: expected the split"):
        CelebAMaskHQSource(folder).read_splits(Problems())
    (folder / "CelebA-HQ-to-CelebA-mapping.txt").unlink()
    with pytest.raises(DataError, match="expected CelebA-HQ-to-CelebA-mapping.txt"):
        CelebAMaskHQSource(folder)
