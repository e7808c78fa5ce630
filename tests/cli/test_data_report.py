import json
import re

import pytest

from tests.cli.programs import run


@pytest.mark.slow
def test_report_is_written_and_later_data_is_held_against_its_schema(tiny_records, tmp_path):
    flags = (f"--data_dir={tiny_records}", f"--output_dir={tmp_path}")
    finished = run("data_report", *flags)
    assert finished.returncode == 0, finished.stderr
    assert "train: 24 pictures" in finished.stdout and "next:    tfac-train" in finished.stdout
    files = {path.name for path in tmp_path.iterdir()}
    drawn = {"frequencies.png", "correlations.png", "landmarks.png"}
    assert files - {"pairs.png"} == {"index.html", "report.json", "schema.pbtxt", *drawn}
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["splits"]["test"]["pictures"] == 8
    schema = tmp_path / "schema.pbtxt"
    text = schema.read_text()
    schema.write_text(text.replace("labels/Young", "labels/Old"))
    checked = run("data_report", *flags, f"--schema={schema}", "--fail_on=schema,blank")
    assert checked.returncode == 2 and "failed:  schema (--fail_on)" in checked.stdout
    assert "2 schema: what is not as the schema says" in checked.stdout
    assert schema.read_text() == text  # written anew, of this data


@pytest.mark.slow
def test_tiny_pictures_can_fail_a_pipeline(tiny_records, tmp_path):
    flags = (f"--data_dir={tiny_records}", f"--output_dir={tmp_path}", "--min_side=41")
    finished = run("data_report", *flags, "--fail_on=tiny")
    assert finished.returncode == 2 and "44 tiny: pictures with a side shorter" in finished.stdout


@pytest.mark.slow
def test_labels_are_held_against_own_rules(tiny_records, tmp_path):
    rules = tmp_path / "rules.json"
    # In these records Smiling is shown by darker pictures than Young.
    rule = {"if": "Smiling", "any_of": ["Young"], "reason": "so it is"}
    rules.write_text(json.dumps({"label_rules": [rule]}))
    flags = (f"--data_dir={tiny_records}", f"--output_dir={tmp_path}", f"--label_rules={rules}")
    finished = run("data_report", *flags, "--fail_on=contradictions")
    assert finished.returncode == 2, finished.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    (found,) = report["label_rules"]
    assert report["problems"]["contradictions"] == found["broken"] > 0
    assert f"Smiling without Young: {found['broken']} of {found['about']}" in finished.stdout
    assert "Smiling without Young" in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fail_on=ugly"], "--fail_on: expected some of duplicates, .* Received: ugly"),
        (["--fail_on=schema"], "--fail_on=schema needs --schema"),
        pytest.param(
            [], "nowhere: expected the folder of a prepared data set", marks=pytest.mark.slow
        ),
    ],
)
def test_wrong_flags_are_named(tmp_path, arguments, message):
    finished = run("data_report", f"--data_dir={tmp_path / 'nowhere'}", *arguments)
    assert finished.returncode == 1 and "Traceback" not in finished.stderr
    assert re.search(message, finished.stderr)
