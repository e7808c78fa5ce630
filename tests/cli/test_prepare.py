import functools
import json
import os
import signal
import subprocess
import time

import numpy as np
import psutil
import pytest

from tests.cli import programs
from tests.data.celeba_files import NAMES, encoded_picture, write_celeba
from tests.models.model_checks import tiny_backbone_file
from tfac.data.records.info import read_info
from tfac.data.records.pipeline import evaluation_dataset

tfac_prepare = functools.partial(programs.run, "prepare")


@pytest.fixture
def celeba(tmp_path):
    """The flags to prepare a tiny CelebA without landmarks; the data set goes to `data`."""
    source = write_celeba(tmp_path / "source", archive=False)
    return (
        "--dataset=celeba",
        f"--source_dir={source}",
        f"--data_dir={tmp_path / 'data'}",
        "--landmarks=none",
        "--workers=1",
    )


@pytest.mark.slow
def test_skipped_pictures_are_counted_and_a_second_run_finds_the_data_set(celeba, tmp_path):
    (tmp_path / "source" / "img_align_celeba" / NAMES[2]).write_bytes(b"no picture")
    first = tfac_prepare(*celeba, "--on_error=skip")
    assert first.returncode == 0, first.stderr
    path = tmp_path / "data" / "celeba" / "1.0.0"
    assert f"wrote {path}" in first.stdout
    assert "  train: 3 pictures\n  validation: 2 pictures\n  test: 2 pictures\n" in first.stdout
    assert "skipped: 1 x picture that cannot be decoded" in first.stdout
    assert f"next: tfac-train --data_dir={tmp_path / 'data'} " in first.stdout
    second = tfac_prepare(*celeba)
    assert second.returncode == 0
    assert f"{path} is already there; nothing was done" in second.stdout


@pytest.mark.slow
def test_broken_source_stops_with_one_line(celeba, tmp_path):
    (tmp_path / "source" / "img_align_celeba" / NAMES[2]).unlink()
    finished = tfac_prepare(*celeba)
    assert finished.returncode == 1 and finished.stdout == ""
    assert f"list_attr_celeba.txt line 5: {NAMES[2]} is missing" in finished.stderr
    assert "--on_error=skip" in finished.stderr and "Traceback" not in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset=celeba"], "--dataset=celeba needs --source_dir"),
        (["--dataset=celeba", "--synthetic_seed=1"], "--synthetic_seed has no meaning for"),
        (["--dataset=synthetic_faces", "--on_error=skip"], "--on_error has no meaning for"),
        (["--dataset=celeba", "--labels=a.csv"], "--labels has no meaning for --dataset=celeba"),
        (["--dataset=folder"], "--dataset=folder needs --source_dir: your own pictures"),
        (["--dataset=folder", "--source_dir=a"], "--dataset=folder needs --labels"),
        (
            ["--dataset=celeba", "--source_dir=a", "--limit=train=x"],
            "--limit: expected a number, or splits with theirs",
        ),
        (
            ["--dataset=celeba", "--source_dir=a", "--beam_option=--region=R"],
            "--beam_option needs --beam_runner",
        ),
        (
            ["--dataset=celeba", "--source_dir=a", "--beam_runner=DirectRunner", "--workers=1"],
            "--workers and --beam_runner: expected one of them",
        ),
    ],
)
def test_wrong_flags_are_named(tmp_path, arguments, message):
    finished = tfac_prepare(f"--data_dir={tmp_path / 'data'}", *arguments)
    assert finished.returncode == 1
    assert "error: " in finished.stderr and message in finished.stderr
    assert "Traceback" not in finished.stderr
    assert not (tmp_path / "data").exists()


def test_list_says_what_each_data_set_expects():
    finished = tfac_prepare("--dataset=list")
    assert finished.returncode == 0
    for name in ("celeba", "celeb_a", "lfwa", "folder", "synthetic_faces"):
        assert f"{name}: " in finished.stdout
    for file in ("img_align_celeba.zip", "list_attr_celeba.txt", "lfw_att_40.mat", "--labels"):
        assert file in finished.stdout
    assert tfac_prepare("--dataset=celeba").returncode == 1  # without --data_dir


@pytest.fixture(scope="module")
def own_data(tmp_path_factory):
    """A data set of twelve own pictures with two attributes that CelebA does not have.

    Returns the folder, in which `data` is, and how the program ended.
    """
    folder = tmp_path_factory.mktemp("own")
    (folder / "pictures").mkdir()
    lines = ["file;person;Wears_Mask;Frown"]
    for i in range(12):
        (folder / "pictures" / f"{i}.jpg").write_bytes(encoded_picture(i))
        lines.append(f"{i}.jpg;p{i // 2};{'true' if i % 2 else 'false'};{'' if i % 3 else 'true'}")
    (folder / "labels.csv").write_text("\n".join(lines))
    (folder / "groups.json").write_text(
        '{"part_groups": {"mouth": ["Wears_Mask"], "eyes": ["Frown"]}, '
        '"subjective_attributes": ["Frown"]}'
    )
    finished = tfac_prepare(
        "--dataset=folder",
        "--name=own",
        f"--source_dir={folder / 'pictures'}",
        f"--labels={folder / 'labels.csv'}",
        f"--attribute_groups={folder / 'groups.json'}",
        "--group_column=person",
        "--split_shares=0.5,0.5,0",
        f"--data_dir={folder / 'data'}",
        "--landmarks=none",
        "--workers=1",
    )
    return folder, finished


@pytest.mark.slow
def test_own_pictures_are_prepared(own_data):
    folder, finished = own_data
    assert finished.returncode == 0, finished.stderr
    assert "labels.csv: 2 attributes, labels written as false/true" in finished.stdout
    assert f"wrote {folder / 'data' / 'own' / '1.0.0'}" in finished.stdout
    assert "--workdir=runs/own" in finished.stdout
    assert read_info(folder / "data").attributes == ("Wears_Mask", "Frown")


@pytest.mark.slow
def test_classes_are_proposed_and_then_prepared(tmp_path):
    (tmp_path / "faces").mkdir()
    tables = []
    for split, count in (("train", 24), ("val", 4)):
        lines = ["file,age,gender,smiling"]
        for i in range(count):
            (tmp_path / "faces" / f"{split}{i}.webp").write_bytes(encoded_picture(i))
            lines.append(f"{split}{i},{('0-2', '3-9')[i % 2]},{('Male', 'Female')[i % 3 // 2]},yes")
        tables.append(tmp_path / f"label_{split}.csv")
        tables[-1].write_text("\n".join(lines))
    flags = ["--dataset=folder", f"--source_dir={tmp_path / 'faces'}", "--landmarks=none"]
    flags += [f"--labels={tables[0]},{tables[1]}", f"--data_dir={tmp_path / 'data'}", "--workers=1"]
    refused = tfac_prepare(*flags)
    assert refused.returncode == 1 and "--propose_classes=FILE" in refused.stderr
    proposed = tfac_prepare(*flags, f"--propose_classes={tmp_path / 'classes.json'}")
    assert proposed.returncode == 0, proposed.stderr
    assert "gender: gender_Female, Male\n" in proposed.stdout
    assert not (tmp_path / "data" / "faces").exists()
    finished = tfac_prepare(*flags, f"--classes={tmp_path / 'classes.json'}", "--limit=train=20")
    assert finished.returncode == 0, finished.stderr
    assert "  train: 20 pictures\n  validation: 4 pictures\n" in finished.stdout
    assert "label_val.csv is validation" in finished.stdout
    assert read_info(tmp_path / "data").attributes == (
        "age_0_2",
        "age_3_9",
        "gender_Female",
        "Male",
        "Smiling",
    )


@pytest.mark.slow
def test_own_attributes_go_all_the_way(own_data, tmp_path):
    data, workdir = f"--data_dir={own_data[0] / 'data'}", f"--workdir={tmp_path / 'run'}"
    small = [
        f"--backbone={tiny_backbone_file()}",
        "--image_size=32",
        "--batch_size=2",
        "--epochs=1",
    ]
    small += ["--protocol=from_scratch", "--updates_per_epoch=1", "--nolandmarks", "--guidance=0"]
    for program, *arguments in (
        ("train", data, workdir, "--model=lga_net", *small),
        ("evaluate", data, workdir, "--split=validation", f"--output_dir={tmp_path / 'report'}"),
        ("export", workdir, "--name=own", f"--saved_models_dir={tmp_path / 'saved_models'}"),
    ):
        finished = programs.run(program, *arguments)
        assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "report").exists()
    (metadata,) = (tmp_path / "saved_models").rglob("tfac.json")
    described = json.loads(metadata.read_text())
    assert described["attributes"] == ["Wears_Mask", "Frown"]
    assert described["attribute_groups"] == {"objective": ["Wears_Mask"], "subjective": ["Frown"]}
    assert described["part_groups"] == {"mouth": ["Wears_Mask"], "eyes": ["Frown"]}


@pytest.mark.slow
def test_killed_program_goes_on_where_it_was(tmp_path):
    names = tuple(f"{i + 1:06d}.jpg" for i in range(600))
    source = write_celeba(tmp_path / "source", names=names, partition=(0, 1, 2) * 200)
    flags = ("--dataset=celeba", f"--source_dir={source}", f"--data_dir={tmp_path / 'data'}")
    command = programs.command("prepare", *flags, "--workers=2")
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while not (chunks := list((tmp_path / "data").rglob("chunk-000000.npz"))):
        assert process.poll() is None, "ended before it could be killed"
        time.sleep(0.05)
    children = [child.pid for child in psutil.Process(process.pid).children()]
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 10
    while alive := [child for child in children if os.path.exists(f"/proc/{child}")]:
        assert time.monotonic() < deadline, f"processes {alive} live on after their parent"
        time.sleep(0.1)
    assert not (tmp_path / "data" / "celeba").exists()
    with np.load(chunks[0]) as arrays:
        marked = {**arrays, "points": np.full_like(arrays["points"], 0.25)}
    np.savez(chunks[0], **marked)
    resumed = tfac_prepare(*flags)
    assert resumed.returncode == 0, resumed.stderr
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["celeba"]
    info = read_info(tmp_path / "data")
    assert info.splits == {"train": 200, "validation": 200, "test": 200}
    batches = evaluation_dataset(info, "train", image_size=(8, 8), batch_size=200)
    landmarks = next(iter(batches))["landmarks"].numpy()
    assert np.sum((landmarks == 0.25).all(axis=(1, 2))) == 200  # the finished chunk's


@pytest.mark.slow
def test_synthetic_faces_are_prepared(tmp_path):
    counts = [f"--synthetic_{split}_count=2" for split in ("train", "validation", "test")]
    flags = ("--dataset=synthetic_faces", f"--data_dir={tmp_path}", "--synthetic_image_size=32")
    finished = tfac_prepare(*flags, *counts, "--workers=1")
    assert finished.returncode == 0, finished.stderr
    assert "  train: 2 pictures\n" in finished.stdout
    info = read_info(tmp_path)
    assert info.name == "synthetic_faces" and info.splits == {
        "train": 2,
        "validation": 2,
        "test": 2,
    }
    metadata = json.loads((info.path / "metadata.json").read_text())
    assert metadata["landmark_scheme"] == "dlib_72"
