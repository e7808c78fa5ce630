import json

import numpy as np
import pytest

pytest.importorskip("sqlalchemy")

from PIL import Image
from toy_pipeline import run_toys

from pipelines.engine.artifacts import ARTIFACT_TYPES
from pipelines.engine.store import ArtifactRecord, ExecutionRecord, MetadataStore
from pipelines.page.page import write_page
from pipelines.page.sections import HEADINGS, show
from tfac.errors import DataError


def page_of_last_run(root) -> str:
    with MetadataStore(f"sqlite:///{root}/metadata.sqlite") as store:
        return write_page(store, root, store.runs()[-1].id).read_text()


def section(artifact_type: str, path, properties=None, **parameters) -> str:
    """What is shown of an artifact in a folder."""
    fields = {"uri": "", "fingerprint": "", "num_files": 0, "num_bytes": 0}
    artifact = ArtifactRecord(type=artifact_type, properties=properties or {}, **fields)
    fields = {"run_id": 1, "component": "", "state": "complete", "reason": "", "started": 0.0}
    return show(artifact, path, ExecutionRecord(parameters=parameters, **fields))


def test_page_of_a_run_shows_states_and_reasons(toy_root):
    run_toys(toy_root)
    run_toys(toy_root, quality=3)
    page = page_of_last_run(toy_root)
    assert "3 cached, 2 complete, 1 skipped" in page
    assert "parameter quality: 5 -&gt; 3" in page
    assert "Evaluator.blessing says no: 3 is less than 5" in page
    assert '<a href="../Trainer/' in page
    assert "s once)" in page  # of what was taken from the cache
    assert "cannot be shown: FileNotFoundError" in page  # toys have no statistics.json
    assert "<script" not in page and "http" not in page.replace("http://www.w3.org", "")


def test_page_of_a_failed_run_tells_what_was_not_run(toy_root):
    run_toys(toy_root)
    (toy_root.parent / "source.txt").write_text("<1>")
    with pytest.raises(ValueError, match="invalid literal"):
        run_toys(toy_root)
    page = page_of_last_run(toy_root)
    assert "4 not run" in page
    assert "<1>" not in page and "&lt;1&gt;" in page


def test_sections_are_of_artifacts_that_there_are():
    assert set(HEADINGS) <= set(ARTIFACT_TYPES)


def test_statistics_show_frequencies(tmp_path):
    counts = np.array([[10, 10], [10, 10]])
    split = {
        "num_pictures": 10,
        "num_bytes": 2_500_000,
        "annotated": counts.tolist(),
        "shown": [[4, 4], [1, 1]],
        "with_landmarks": 9,
        "values": {
            "image/height": {"lowest": 64, "highest": 64},
            "image/width": {"lowest": 48, "highest": 64},
            "image/brightness": {"total": 1270},
        },
    }
    content = {"attributes": ["Smiling", "Wearing_Hat"], "splits": {"train": split}}
    (tmp_path / "statistics.json").write_text(json.dumps(content))
    html = section("ExampleStatistics", tmp_path)
    for text in ("2.5", "48 to 64", "127", "90.0%", "Wearing Hat", "<svg"):
        assert text in html


def test_anomalies_say_whether_they_block(tmp_path):
    assert "None" in section("ExampleAnomalies", tmp_path, {"found": [], "blocking": False})
    found = {"found": ["a <new> column"], "blocking": True}
    html = section("ExampleAnomalies", tmp_path, found)
    assert "Nothing may be trained" in html and "a &lt;new&gt; column" in html


def test_predictions_show_faces_and_their_surest_attributes(tmp_path):
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    photos = tmp_path / "photos"
    photos.mkdir()
    Image.new("RGB", (64, 64), "red").save(photos / "a.png")
    rows = {
        "photo": ["a.png", "gone.png"],
        "left": [0, 0],
        "top": [0, 0],
        "right": [32, 32],
        "bottom": [32, 32],
        "Smiling": [True, False],
        "Smiling_probability": [0.9, 0.2],
        "Bald": [False, True],
        "Bald_probability": [0.1, 0.7],
    }
    pq.write_table(pa.table(rows), tmp_path / "predictions-00000-of-00001.parquet")
    counts = {"photos": 2, "faces": 2, "without_face": 0}
    html = section("InferenceResult", tmp_path, counts, photos=str(photos))
    assert html.count("data:image/jpeg;base64,") == 1  # the other photo is no longer there
    assert html.count("Smiling") == 1 and html.count("Bald") == 1
    assert "0 without face" in html


def test_page_of_no_run_is_refused(toy_root):
    with MetadataStore(f"sqlite:///{toy_root}/metadata.sqlite") as store:
        with pytest.raises(DataError, match="run 7"):
            write_page(store, toy_root, 7)
