"""What explains the networks in other formats: a JSON, and for each a program that asks it."""

from typing import Any

import numpy as np

from tfac.inference.trained_network import TrainedNetwork

ABOUT_FILE = "network.json"

_PROGRAM = '''\
"""Says which attributes face crops show: python ask_{format}.py face.jpg other.png

Needs numpy, pillow and {package}; resizes and decides as the model does in tfac.
"""

import json
import pathlib
import sys

import numpy as np
{imports}
from PIL import Image, ImageOps

HERE = pathlib.Path(__file__).resolve().parent
ABOUT = json.loads((HERE / "network.json").read_text("utf-8"))
SIZE = ABOUT["image_size"]["height"], ABOUT["image_size"]["width"]


def weights(size, wanted, area):  # [wanted, size]: the share of each pixel in each new one
    pixels = np.arange(size)
    if area:
        edges = np.linspace(0, size, wanted + 1)[:, None]
        shares = np.minimum(edges[1:], pixels + 1) - np.maximum(edges[:-1], pixels)
    else:  # bilinear, antialiased where it shrinks
        centres = (np.arange(wanted)[:, None] + 0.5) * size / wanted - 0.5
        shares = 1 - abs(centres - pixels) / max(size / wanted, 1)
    shares = np.clip(shares, 0, None)
    return shares / shares.sum(axis=1, keepdims=True)


def read(path):  # uint8 [height, width, 3], RGB
    pixels = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
    area = all(size >= wanted for size, wanted in zip(pixels.shape, SIZE))
    rows, columns = (weights(*sizes, area) for sizes in zip(pixels.shape, SIZE))
    return np.stack([rows @ pixels[..., c] @ columns.T + 0.5 for c in range(3)], -1).astype("uint8")


images = np.stack([read(path) for path in sys.argv[1:]])
{run}
above = answers["scores"] > np.array(ABOUT["thresholds"], "float32")
rows = zip(sys.argv[1:], answers.get("predictions", above), answers["probabilities"])
for path, predictions, probabilities in rows:
    shown = [name for name, yes in zip(ABOUT["attributes"], predictions) if yes]
    by_name = dict(zip(ABOUT["attributes"], probabilities.tolist()))
    print(json.dumps({{"picture": path, "shown": shown, "probabilities": by_name}}))
'''

# Format to the package, what is imported, and how answers come of images.
_ENGINES = {
    "onnx": (
        "onnxruntime",
        "import onnxruntime",
        """\
session = onnxruntime.InferenceSession(HERE / "model.onnx", providers=["CPUExecutionProvider"])
names = [output.name for output in session.get_outputs()]
answers = dict(zip(names, session.run(names, {"images": images})))""",
    ),
    "litert": (
        "ai-edge-litert",
        "from ai_edge_litert.interpreter import Interpreter",
        """\
interpreter = Interpreter(str(HERE / "model.tflite"))
# By signature: by index, the inputs and outputs have other names and a batch of one.
answers = interpreter.get_signature_runner()(images=images)""",
    ),
    "openvino": (
        "openvino",
        "import openvino",
        """\
# Without this OpenVINO computes in bfloat16 where the processor can.
options = {"INFERENCE_PRECISION_HINT": "f32"}
model = openvino.Core().compile_model(HERE / "openvino" / "model.xml", "CPU", options)
outputs = model({"images": images})
answers = {output.get_any_name(): outputs[output] for output in model.outputs}""",
    ),
}


def program_file(name: str) -> str:
    """Returns what the program of a format is called."""
    return f"ask_{name}.py"


def program(name: str) -> str:
    """Returns the program of a format: NumPy, Pillow and the engine, nothing of tfac."""
    package, imports, run = _ENGINES[name]
    text = _PROGRAM.replace("{{", "{").replace("}}", "}").replace("{format}", name)
    return text.replace("{package}", package).replace("{imports}", imports).replace("{run}", run)


def about(trained: TrainedNetwork) -> dict[str, Any]:
    """Returns what must be known to ask a network in another format and to read its answers."""
    height, width = trained.image_size
    cuts = [float(cut) for cut in trained.thresholds]
    outputs = {
        "scores": "float32 [batch, attributes]; an attribute is shown where its score is above "
        "its threshold",
        "probabilities": "float32 [batch, attributes] in [0, 1]",
    }
    if trained.consistent:
        outputs["predictions"] = (
            "int32 [batch, attributes]: 1 where an attribute is shown; where thresholds would "
            "contradict each other, the best answer that breaks none of label_rules"
        )
    if trained.landmark_scheme is not None:
        outputs["landmarks"] = (
            "float32 [batch, landmarks, 2]: x and y in [0, 1] of the picture, "
            f"scheme {trained.landmark_scheme.name}"
        )
    return {
        "attributes": list(trained.attributes),
        "thresholds": cuts,
        "threshold_probabilities": [
            float(cut) for cut in trained.probabilities(np.array(cuts, np.float32))
        ],
        "label_rules": [rule.to_dict() for rule in trained.groups.label_rules],
        "image_size": {"height": height, "width": width},
        "input": {
            "images": f"uint8 [batch, {height}, {width}, 3] in [0, 255]; nothing is subtracted or "
            "divided, the network does it",
            "color_order": "rgb",
            "pictures": "face crops as CelebA's; tfac-predict makes them of photos"
            if trained.faces == "aligned"
            else "whole pictures as those that were trained on",
            "resize": {
                "aspect": "not kept",
                "no side grows": "mean over the area of each new pixel: cv2.INTER_AREA",
                "both sides grow": "bilinear with half-pixel centres: cv2.INTER_LINEAR",
                "one side grows": "bilinear, antialiased along the other: Pillow's BILINEAR",
                "rounding": "to the nearest",
            },
        },
        "outputs": outputs,
    }
