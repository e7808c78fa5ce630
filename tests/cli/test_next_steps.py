"""What a program prints as the next step runs as it is printed, on the very data at hand."""

import shlex

import numpy as np
import pytest
from PIL import Image

from tests.cli import programs

ATTRIBUTES = ("Scarf", "Monocle")
PHOTOS = 30


@pytest.fixture(scope="session")
def own_photos(tmp_path_factory):
    """A folder with photos in `own photos/`, and their labels: own attributes, no landmarks."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own photos").mkdir()
    rng = np.random.default_rng(0)
    lines = [",".join(["path", *ATTRIBUTES, "split"])]
    for i in range(PHOTOS):
        picture = rng.integers(0, 256, (64, 56, 3), np.uint8) // (1 + i % 2)
        Image.fromarray(picture).save(folder / "own photos" / f"{i}.jpg")
        split = "train" if i < 24 else "validation" if i < 28 else "test"
        lines.append(f"{i}.jpg,{i % 2},{i // 2 % 2},{split}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def prepare(folder):
    options = ["--dataset=folder", "--source_dir=own photos", "--labels=labels.csv"]
    options += ["--split_column=split", "--landmarks=none", "--workers=1", "--data_dir=data"]
    return finished(programs.run("prepare", *options, cwd=folder))


def finished(result):
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stdout


def next_steps(output):
    """The commands of tfac that stand below or behind "next:", by program."""
    _, _, steps = output.replace("Next:", "next:").partition("next:")
    lines = [line.strip() for line in steps.splitlines()]
    commands = [shlex.split(line) for line in lines if line.startswith("tfac-")]
    return {program: arguments for program, *arguments in commands}


def run_step(steps, program, folder, **replaced):
    arguments = [replaced.get(word, word) for word in steps[f"tfac-{program}"]]
    return programs.run(program.replace("-", "_"), *arguments, cwd=folder)


@pytest.mark.slow
def test_from_photos_to_answers_by_the_printed_steps_alone(own_photos):
    prepared = next_steps(prepare(own_photos))
    trained = finished(run_step(prepared, "train", own_photos))
    assert "batch_size=24, as split train has 24 pictures" in trained
    steps = next_steps(trained)
    evaluated = finished(run_step(steps, "evaluate", own_photos))
    finished(run_step(steps, "export", own_photos))
    exported = finished(run_step(next_steps(evaluated), "export", own_photos))
    assert "without figures" not in exported
    photo = {"PHOTO...": "own photos/0.jpg"}
    predicted = run_step(next_steps(exported), "predict", own_photos, **photo)
    assert predicted.returncode == 0 or "0.jpg: no face found" in predicted.stderr

    saved_model = "--saved_model=saved_models/two_crop_net"
    options = [saved_model, "--data_dir=data", "--split=test"]
    evaluated = finished(programs.run("evaluate", *options, cwd=own_photos))
    predicted = run_step(next_steps(evaluated), "predict", own_photos, **photo)
    assert predicted.returncode == 0 or "0.jpg: no face found" in predicted.stderr

    # The report's is the one that ran above, in a workdir of its own.
    reported = finished(programs.run("data_report", "--data_dir=data", cwd=own_photos))
    assert next_steps(reported)["tfac-train"] == ["--data_dir=data", "--workdir=runs/new"]
    assert prepared["tfac-train"] == ["--data_dir=data", "--workdir=runs/faces"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("dmm_cnn", ["landmarks=False, as no picture of split"]),
        ("lga_net", ["guidance=0.0, as ", "landmarks=False"]),
        ("mgg_net", ["graph=False, as all attributes are of the part other"]),
    ],
)
def test_networks_train_on_own_photos_and_attributes(own_photos, tmp_path, model, said):
    prepare(own_photos)
    options = [f"--model={model}", "--data_dir=data", "--epochs=1"]
    options += ["--image_size=48", f"--workdir={tmp_path / 'run'}"]
    output = finished(programs.run("train", *options, cwd=own_photos))
    for sentence in said:
        assert sentence in output


@pytest.mark.slow
def test_options_that_were_given_are_no_others_but_refused(own_photos):
    prepare(own_photos)
    options = ["--model=mgg_net", "--data_dir=data", "--workdir=runs/refused", "--batch_size=24"]
    refused = programs.run("train", *options, "--graph", cwd=own_photos)
    assert refused.returncode == 1 and "Give --nograph, or prepare" in refused.stderr
    refused = programs.run("train", *options[:-1], "--batch_size=25", cwd=own_photos)
    assert "split train has 24 pictures; give a --batch_size of no more" in refused.stderr
