"""Transform: the preprocessing that training, evaluation and serving share, as one graph."""

from pipelines.components.features import TRAIN
from pipelines.engine.artifacts import Examples, Input, Output, TransformGraph
from pipelines.engine.component import component
from tfac.errors import ConfigError
from tfac.files import write_json

GRAPH_FOLDER, TRANSFORM_FILE = "saved_model", "transform.json"


@component
def transform(
    examples: Input[Examples],
    transform_graph: Output[TransformGraph],
    *,
    image_size: list[int],
    sample_size: int = 64,
) -> None:
    """Writes the graph from records to what a network sees, and checks that all paths agree.

    Records of the training split pass through the input of training, that of evaluation, an
    export's decoding and the graph that was written. Pictures have to be the same to the last bit.

    Args:
        examples: the data set.
        transform_graph: saved_model/, whose signature ``serving_default`` takes ``records``, string
            [B], and gives a batch as `tfac.data.records.pipeline` describes it; and transform.json
            with ``image_size``, ``attributes``, ``landmark_scheme`` and the data set's
            ``fingerprint``, as its properties have them.
        image_size: height and width of the pictures, pixels.
        sample_size: how many records are held against each other.

    Raises:
        ConfigError: an image size that cannot be used.
        DataError: a record cannot be read, or paths do not agree.
    """
    from pipelines.components.transform_graph import check_paths, write_graph
    from tfac.data.records.info import read_info

    if len(image_size) != 2 or not all(isinstance(side, int) for side in image_size):
        raise ConfigError(f"image_size: expected height and width, pixels. Received: {image_size}")
    info, size = read_info(examples.path), (image_size[0], image_size[1])
    graph = transform_graph.path / GRAPH_FOLDER
    write_graph(info, size, str(graph))
    check_paths(info, size, str(graph), min(sample_size, info.splits.get(TRAIN, 0)))
    about = {
        "image_size": list(size),
        "attributes": list(info.attributes),
        "landmark_scheme": info.landmark_scheme.name,
        "fingerprint": info.fingerprint,
    }
    write_json(transform_graph.path / TRANSFORM_FILE, about)
    transform_graph.properties |= about
