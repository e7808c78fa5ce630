import json

import pytest
from test_page import section

RATES = ("accuracy", "balanced_accuracy", "true_positive_rate", "true_negative_rate")


def rates(value, low=None, high=None):
    return {rate: {"value": value, "low": low, "high": high} for rate in RATES}


def write(path, **more):
    all_pictures = {"": rates(81.25, 80.1, 82.4), "Bald": rates(90.0), "Smiling": rates(72.5)}
    men = {"": rates(79.5, 77.0, 81.5), "Bald": rates(None), "Smiling": rates(79.5)}
    slices = {
        "Male=1*Young=0": {"candidate": men},
        "Young=1": {"candidate": men},
        "": {"candidate": all_pictures, **more},
    }
    gaps = [{"slices": ["Male=1", "Male=0"], **rates(-2.5, -4.0, -1.0)}]
    content = {"blessed": True, "reasons": [], "limits": {}, "slices": slices, "gaps": gaps}
    (path / "validation.json").write_text(json.dumps(content))


def test_slices_gaps_and_attributes_are_shown(tmp_path):
    write(tmp_path)
    html = section("ModelEvaluation", tmp_path)
    for text in ("all pictures", "Male=1, Young=0", "81.25", "[80.10, 82.40]", "Male=1 and Male=0"):
        assert text in html
    order = [html.index(text) for text in ("all pictures", "Young=1", "Male=1, Young=0")]
    assert order == sorted(order)
    assert "[-4.00, -1.00]" in html and "72.5" in html and "&ndash;" in html
    assert "model in service" not in html


def test_model_in_service_is_compared_with(tmp_path):
    before = {"": rates(80.0, 79.0, 81.0), "Bald": rates(88.0), "Smiling": rates(None)}
    write(tmp_path, baseline=before, change={"": rates(1.25, 0.5, 2.0)})
    html = section("ModelEvaluation", tmp_path)
    assert "[0.50, 2.00]" in html and "model in service: balanced accuracy" in html


def test_evaluation_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        section("ModelEvaluation", tmp_path)
