"""A page over two models that are made up, and photos of drawn faces."""

import io
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfac.data.synthetic.drawing import draw_face
from tfac.data.synthetic.sampling import sample_face
from tfac.serving.page import page_routes
from tfac.serving.server.configuration import ModelConfig, VersionPolicy
from tfac.serving.server.metrics import Metrics
from tfac.serving.server.models import ModelStore

ATTRIBUTES = ("Smiling", "Eyeglasses", "Big_Nose", "Young", "Wearing_Hat")
PART_GROUPS = {
    "eyes": ["Eyeglasses"],
    "nose": ["Big_Nose"],
    "mouth": ["Smiling"],
    "around_head": ["Wearing_Hat"],
    "whole_face": ["Young"],
}
THRESHOLDS = np.array([0.5, 0.4, 0.5, 0.6, 0.5], np.float32)


class DrawnModel:
    """Answers as an export does: from the picture's mean colour, and differently by version.

    "explaining" has masks on two levels and the detector's landmarks, "other" landmarks of its own.
    """

    def __init__(self, folder: Path):
        self.version = int(folder.name)
        self.explains = folder.parent.name == "explaining"
        self.signatures = dict.fromkeys(("serving_default", "explain")[: 1 + self.explains])
        levels = {"levels": ["P3", "P4"], "groups": list(PART_GROUPS), "affinity": False}
        self.metadata = {
            "attributes": list(ATTRIBUTES),
            "part_groups": PART_GROUPS,
            "threshold_probabilities": THRESHOLDS.tolist(),
            "explain": levels if self.explains else None,
            "data": {"name": "synthetic_faces"},
        }

    def run(self, signature, inputs):
        pictures = [Image.open(io.BytesIO(one)) for one in inputs["image_bytes"]]
        means = np.array([np.asarray(one).mean() / 255 for one in pictures], np.float32)
        spread = np.linspace(-0.4, 0.4, len(ATTRIBUTES), dtype=np.float32)
        spread *= 1 if self.version == 1 else -1
        probabilities = np.clip(means[:, None] + spread, 0, 1)
        answers = {
            "valid": np.ones(len(pictures), bool),
            "scores": 2 * probabilities - 1,
            "probabilities": probabilities,
            "predictions": (probabilities > THRESHOLDS).astype(np.int32),
        }
        if signature == "explain":
            ramp = np.linspace(0, 3, 48, dtype=np.float32)[None, :, None, None]
            masks = np.tile(ramp, (len(pictures), 1, 40, len(PART_GROUPS)))
            answers |= {"masks_P3": masks, "masks_P4": masks[:, ::-1]}
        elif not self.explains:
            corners = np.array([(0, 0), (1, 0), (0.5, 0.5), (0, 1), (1, 1)], np.float32)
            answers["landmarks"] = np.tile(corners, (len(pictures), 1, 1))
        return answers


@pytest.fixture(scope="session")
def drawn_store(tmp_path_factory) -> ModelStore:
    """Serves versions 1 and 2 of "explaining", and version 1 of "other"."""
    store = ModelStore(DrawnModel, Metrics())
    folder = tmp_path_factory.mktemp("served")
    for name, versions in {"explaining": (1, 2), "other": (1,)}.items():
        for version in versions:
            (folder / name / str(version)).mkdir(parents=True)
    policy = VersionPolicy(num_latest=None)
    names = ("explaining", "other", "absent")
    store.configure([ModelConfig(name, folder / name, policy) for name in names])
    store.poll()
    return store


@pytest.fixture(scope="session")
def drawn_app(drawn_store):
    """The page's Starlette app over `drawn_store`."""
    from starlette.applications import Starlette

    def predict(name, version, signature, inputs):
        with drawn_store.get(name, version) as model:
            return model.engine.run(signature, inputs)

    return Starlette(routes=page_routes(drawn_store, predict))


@pytest.fixture(scope="session")
def drawn_photos(tmp_path_factory) -> Path:
    """A folder of photos: two faces, one face on its side (by EXIF), none, and a broken file."""
    folder = tmp_path_factory.mktemp("photos")
    two = Image.new("RGB", (440, 220), "grey")
    two.paste(_drawn(1, 220), (0, 0))
    two.paste(_drawn(4, 160), (240, 50))
    two.save(folder / "two.png")
    turned = Image.Exif()
    turned[0x0112] = 6  # a quarter turn
    _drawn(5, 200).crop((0, 0, 180, 200)).rotate(90, expand=True).save(
        folder / "turned.jpg", exif=turned, quality=95
    )
    Image.new("RGB", (90, 60), "olive").save(folder / "meadow.png")
    (folder / "broken.png").write_bytes((folder / "two.png").read_bytes()[:2000])
    (folder / "notes.txt").write_text("not a picture")
    return folder


def _drawn(number: int, size: int) -> Image.Image:
    return Image.fromarray(draw_face(sample_face(0, "test", number, 0), size)[0])


@pytest.fixture(scope="session")
def served_page(drawn_app):
    """The address of a server with `drawn_app`."""
    import threading
    import time

    import uvicorn

    config = uvicorn.Config(drawn_app, host="127.0.0.1", port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield types.SimpleNamespace(address=f"http://127.0.0.1:{port}", server=server)
    server.should_exit = True
    thread.join()
