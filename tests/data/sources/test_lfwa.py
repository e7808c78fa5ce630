import h5py
import numpy as np
import pytest
import scipy.io

from tests.data.celeba_files import encoded_picture
from tfac.attributes import ATTRIBUTES
from tfac.data.preparing.preparation import prepare
from tfac.data.preparing.workers import Processes
from tfac.data.records.info import read_info
from tfac.data.sources.lfwa import LFWASource
from tfac.data.sources.problems import Problems
from tfac.errors import ConfigError, DataError

PICTURES = [f"{person}/{person}_{i:04d}.jpg" for person in ("Ann_Lee", "Bo") for i in (1, 2, 3)]
LABELS = (np.arange(6 * 40).reshape(6, 40) * 7 % 5 > 2).astype(np.float64)
TRAIN, TEST = [1.0, 4.0, 2.0], [3.0, 6.0]

# The 73 columns of Kumar's file, as it names them.
KUMAR = (
    "Male Asian White Black Baby Child Youth Middle_Aged Senior Black_Hair Blond_Hair Brown_Hair "
    "Bald No_Eyewear Eyeglasses Sunglasses Mustache Smiling Frowning Chubby Blurry Harsh_Lighting "
    "Flash Soft_Lighting Outdoor Curly_Hair Wavy_Hair Straight_Hair Receding_Hairline Bangs "
    "Sideburns Fully_Visible_Forehead Partially_Visible_Forehead Obstructed_Forehead "
    "Bushy_Eyebrows Arched_Eyebrows Narrow_Eyes Eyes_Open Big_Nose Pointy_Nose Big_Lips "
    "Mouth_Closed Mouth_Slightly_Open Mouth_Wide_Open Teeth_Not_Visible No_Beard Goatee "
    "Round_Jaw Double_Chin Wearing_Hat Oval_Face Square_Face Round_Face Color_Photo Posed_Photo "
    "Attractive_Man Attractive_Woman Indian Gray_Hair Bags_Under_Eyes Heavy_Makeup Rosy_Cheeks "
    "Shiny_Skin Pale_Skin 5_o'_Clock_Shadow Strong_Nose-Mouth_Lines Wearing_Lipstick "
    "Flushed_Face High_Cheekbones Brown_Eyes Wearing_Earrings Wearing_Necktie Wearing_Necklace"
).split()
KUMAR = [name.replace("_", " ") for name in KUMAR]


def write_pictures(folder, *kinds):
    for kind in kinds:
        for seed, name in enumerate(PICTURES):
            path = folder / kind / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(encoded_picture(seed + 100 * (kind == "lfw")))
    return folder


def write_matlab_5(path, variables):
    cells = {
        name: np.array([[text] for text in value], object) if isinstance(value[0], str) else value
        for name, value in variables.items()
    }
    scipy.io.savemat(path, cells)


def write_matlab_7_3(path, variables):
    with h5py.File(path, "w") as file:
        for name, value in variables.items():
            if not isinstance(value[0], str):
                file[name] = np.array(value).T
                continue
            texts = [
                file.create_dataset(f"#refs#/{name}{i}", data=[[ord(c)] for c in text])
                for i, text in enumerate(value)
            ]
            file[name] = np.array([[text.ref for text in texts]], h5py.ref_dtype)


WRITERS = {"5": write_matlab_5, "7.3": write_matlab_7_3}


def write_mmlab(folder, version="7.3", *, apart=False, names=ATTRIBUTES, train=TRAIN, test=TEST):
    write, column = WRITERS[version], lambda indices: np.array([indices]).T
    pictures = [name.replace("/", "\\") for name in PICTURES]
    labels = {"AttrName": list(names), "name": pictures, "label": LABELS}
    write(folder / "lfw_att_40.mat", labels)
    indices = {"indices_img_train": column(train), "indices_img_test": column(test)}
    if apart:
        for name, value in indices.items():
            write(folder / f"{name}.mat", {name: value})
    else:
        write(folder / "indices_train_test.mat", indices)


def kumar_lines():
    rng = np.random.default_rng(0)
    lines = ["# comment", "#\t" + "\t".join(["person", "imagenum", *KUMAR])]
    for name in PICTURES:
        person, number = name.split("/")[1].removesuffix(".jpg").rsplit("_", 1)
        values = [f"{value:.6f}" for value in rng.normal(size=73)]
        lines.append("\t".join([person.replace("_", " "), str(int(number)), *values]))
    return lines


def write_kumar(folder, edit=lambda lines: lines):
    lines = edit(kumar_lines())
    (folder / "lfw_attributes.txt").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("version", WRITERS)
@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("spaces", [False, True])
def test_mmlab_s_files_are_read(tmp_path, version, apart, spaces):
    write_pictures(tmp_path, "lfw-deepfunneled")
    names = [name.replace("_", " ") if spaces else name for name in reversed(ATTRIBUTES)]
    write_mmlab(tmp_path, version, apart=apart, names=names)
    splits = LFWASource(tmp_path).read_splits(Problems())
    assert list(splits) == ["train", "test"]
    for split, indices in (("train", sorted(TRAIN)), ("test", sorted(TEST))):
        rows = [int(index) - 1 for index in indices]
        assert splits[split].names == [f"lfw-deepfunneled/{PICTURES[row]}" for row in rows]
        np.testing.assert_array_equal(splits[split].labels, LABELS[rows][:, ::-1])
        assert splits[split].lines.tolist() == [row + 1 for row in rows]


def test_originals_are_taken_where_there_are_no_others(tmp_path):
    write_mmlab(write_pictures(tmp_path, "lfw"))
    names = LFWASource(tmp_path).read_splits(Problems())["test"].names
    assert names == [f"lfw/{PICTURES[2]}", f"lfw/{PICTURES[5]}"]


def test_kumar_s_file_is_read_and_both_kinds_of_pictures_train(tmp_path):
    write_kumar(write_pictures(tmp_path, "lfw", "lfw-deepfunneled"))
    splits = LFWASource(tmp_path, "dmm_cnn").read_splits(Problems())
    kinds = ("lfw", "lfw-deepfunneled")
    assert splits["train"].names == [f"{kind}/{name}" for kind in kinds for name in PICTURES[:3]]
    assert splits["test"].names == [f"lfw-deepfunneled/{name}" for name in PICTURES[3:]]
    for split, start in (("train", 0), ("test", 3)):
        for i in range(3):
            values = kumar_lines()[2 + start + i].split("\t")[2:]
            shown = {n for n, value in zip(KUMAR, values, strict=True) if float(value) > 0}
            for name, label in zip(ATTRIBUTES, splits[split].labels[i], strict=True):
                column = {
                    "5_o_Clock_Shadow": "5 o' Clock Shadow",
                    "Young": "Youth",
                    "Attractive": "Attractive " + ("Man" if "Male" in shown else "Woman"),
                }.get(name, name.replace("_", " "))
                assert label == (column in shown), name


def test_the_papers_numbers_come_out_of_kumar_s_number_of_rows():
    assert (2 * ((13_143 + 1) // 2), 13_143 - (13_143 + 1) // 2) == (13_144, 6_571)


def test_prepared_records_say_which_protocol(tmp_path):
    write_mmlab(write_pictures(tmp_path / "source", "lfw-deepfunneled"))
    source = LFWASource(tmp_path / "source")
    prepared = prepare(source, tmp_path / "data", landmarks="none", workers=Processes(1))
    assert read_info(tmp_path / "data").splits == {"train": 3, "test": 2}
    assert prepared.metadata["source_settings"]["protocol"] == "mgg_net"
    assert set(prepared.metadata["source_sha256"]) == {"lfw_att_40.mat", "indices_train_test.mat"}
    write_kumar(write_pictures(tmp_path / "source", "lfw"))
    with pytest.raises(ConfigError, match="lfwa/1.0.0 was prepared from other annotation files"):
        other = LFWASource(tmp_path / "source", "dmm_cnn")
        prepare(other, tmp_path / "data", landmarks="none", workers=Processes(1))


@pytest.mark.parametrize("protocol", ["mgg_net", "dmm_cnn"])
def test_missing_pictures_are_counted(tmp_path, protocol):
    write_pictures(tmp_path, "lfw", "lfw-deepfunneled")
    write_kumar(tmp_path)
    write_mmlab(tmp_path)
    (tmp_path / "lfw-deepfunneled" / PICTURES[5]).unlink()
    source = LFWASource(tmp_path, protocol)
    with pytest.raises(DataError, match="row [68]: lfw-deepfunneled/Bo/Bo_0003.jpg is missing"):
        source.read_splits(Problems())
    problems = Problems("skip")
    source = LFWASource(tmp_path, protocol)
    assert len(source.read_splits(problems)["test"].names) == (1 if protocol == "mgg_net" else 2)
    assert problems.skipped == {"row without a picture": 1}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda lines: [*lines[:3], lines[3][:-9], *lines[4:]], "line 4: (expected 75|could not)"),
        (lambda lines: [*lines[:3], lines[3].replace("\t2\t", "\ttwo\t"), *lines[4:]], "line 4"),
        (lambda lines: [*lines[:3], lines[3][:-4] + "nan", *lines[4:]], "line 4: "),
    ],
)
def test_malformed_rows_of_kumar_s_are_counted(tmp_path, edit, message):
    write_kumar(write_pictures(tmp_path, "lfw", "lfw-deepfunneled"), edit)
    source = LFWASource(tmp_path, "dmm_cnn")
    with pytest.raises(DataError, match=message):
        source.read_splits(Problems())
    problems = Problems("skip")
    source.read_splits(problems)
    assert problems.skipped == {"malformed row": 1}


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda lines: lines[1:], "line 2: expected the columns person, imagenum"),
        (
            lambda lines: [lines[0], lines[1].replace("Youth", "Young at heart"), *lines[2:]],
            "expected columns for Youth",
        ),
        (lambda lines: lines[:2], "expected pictures with labels, found none"),
    ],
)
def test_files_that_are_not_kumar_s_are_refused(tmp_path, edit, message):
    write_kumar(write_pictures(tmp_path, "lfw", "lfw-deepfunneled"), edit)
    with pytest.raises(DataError, match=message):
        LFWASource(tmp_path, "dmm_cnn").read_splits(Problems("skip"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"train": [1.0, 7.0]}, "indices_img_train of whole numbers from 1 to 6"),
        ({"train": [1.5]}, "indices_img_train of whole numbers"),
        ({"train": [1.0, 1.0]}, "each picture once in indices_img_train"),
        ({"test": [1.0]}, "expected other pictures than those to train on.*1 of both"),
        ({"names": [*ATTRIBUTES[:39], "Tall"]}, "expected columns for Young"),
    ],
)
def test_mmlab_s_files_are_checked(tmp_path, options, message):
    write_mmlab(write_pictures(tmp_path, "lfw"), **options)
    with pytest.raises(DataError, match=message):
        LFWASource(tmp_path).read_splits(Problems("skip"))


@pytest.mark.parametrize("contents", [b"", b"no MATLAB file, but longer than a header" * 9])
def test_files_that_are_not_matlab_s_are_refused(tmp_path, contents):
    write_mmlab(write_pictures(tmp_path, "lfw"))
    (tmp_path / "lfw_att_40.mat").write_bytes(contents)
    with pytest.raises(DataError, match="lfw_att_40.mat: expected a MATLAB file"):
        LFWASource(tmp_path).read_splits(Problems())


def test_damaged_matlab_7_3_file_is_refused(tmp_path):
    write_mmlab(write_pictures(tmp_path, "lfw"))
    path = tmp_path / "lfw_att_40.mat"
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(DataError, match="lfw_att_40.mat: expected a MATLAB file"):
        LFWASource(tmp_path).read_splits(Problems())


def test_missing_parts_are_named(tmp_path):
    with pytest.raises(DataError, match="expected a folder with LFWA's files"):
        LFWASource(tmp_path / "nowhere")
    with pytest.raises(DataError, match="expected the folders lfw-deepfunneled, extracted"):
        LFWASource(tmp_path)
    write_pictures(tmp_path, "lfw")
    with pytest.raises(DataError, match="lfw-deepfunneled and lfw, extracted.*Received: lfw"):
        LFWASource(tmp_path, "dmm_cnn")
    with pytest.raises(DataError, match="expected lfw_att_40.mat, found none"):
        LFWASource(tmp_path)
    with pytest.raises(ConfigError, match="protocol: expected one of mgg_net, dmm_cnn"):
        LFWASource(tmp_path, "paper")
