"""Draws a few synthetic faces for BulkInferrer: ``python -m pipelines.draw_faces --folder=...``."""

from collections.abc import Sequence
from pathlib import Path

from absl import flags

from tfac.cli import import_tensorflow_quietly, run_program
from tfac.errors import ConfigError
from tfac.files import whole_directory

_FOLDER = flags.DEFINE_string("folder", None, "Folder to write; left as it is if it is there.")
_COUNT = flags.DEFINE_integer("count", 12, "How many faces.", 1)
_SIZE = flags.DEFINE_integer("size", 128, "Side of a picture, pixels.", 32, 1024)
_SEED = flags.DEFINE_integer("seed", 1, "Another than that of the faces trained on.", 0)


def main(argv: Sequence[str]) -> None:
    """Draws the faces."""
    if len(argv) > 1 or not _FOLDER.value:
        raise ConfigError(f"expected --folder=FOLDER. Received: {' '.join(argv[1:]) or 'nothing'}")
    if Path(_FOLDER.value).exists():
        return
    import_tensorflow_quietly()
    from tfac.data.synthetic.faces import SyntheticFacesConfig, make_example

    config = SyntheticFacesConfig(image_size=_SIZE.value, seed=_SEED.value)
    with whole_directory(_FOLDER.value) as aside:
        for number in range(_COUNT.value):
            picture = make_example(config, "test", number)["image"]
            (aside / f"face-{number:02d}.jpg").write_bytes(picture)
    print(f"drew {_COUNT.value} faces in {_FOLDER.value}")


def run() -> None:
    """Runs the program."""
    run_program(main)


if __name__ == "__main__":
    run()
