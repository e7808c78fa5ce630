import numpy as np
import pytest
from PIL import Image

from tfac.attributes import ATTRIBUTES
from tfac.evaluation.charts import draw_bars


def report(names):
    rng = np.random.default_rng(0)
    return {
        "attributes": {
            name: {
                "accuracy": float(rng.uniform(70, 99)),
                "majority_accuracy": float(rng.uniform(50, 95)),
                "balanced_accuracy": float("nan") if name == "Bald" else float(rng.uniform(55, 95)),
            }
            for name in names
        }
    }


@pytest.mark.parametrize(
    "names", [ATTRIBUTES, ("Smiling", "Young"), ("Bald",)], ids=["both", "one group", "one"]
)
def test_picture_is_written_whole(tmp_path, names):
    draw_bars(report(names), tmp_path / "new" / "accuracy.png")
    with Image.open(tmp_path / "new" / "accuracy.png") as picture:
        picture.load()
        assert picture.width > 600
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["accuracy.png"]
