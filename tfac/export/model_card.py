"""The model card of an export: what the model is for, what it is not for, and how well it does.

After Mitchell et al., "Model Cards for Model Reporting", FAT* 2019, section 4. Everything in it
comes from ``tfac.json`` and from the report that tfac-evaluate wrote; see
`tfac.evaluation.report` for the report's layout.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfac.errors import DataError
from tfac.export.model_card_figures import (
    Report,
    attribute_rows,
    gap_rows,
    largest_gap_rows,
    percent,
    single_class_sentence,
    slice_rows,
)
from tfac.export.model_card_page import plain, render_page, table
from tfac.files import whole_file
from tfac.networks import BACKBONES, NETWORKS
from tfac.photos.face_crops import ALIGNED, WHOLE

MARKDOWN_FILE = "model_card.md"
HTML_FILE = "model_card.html"

_CELEBA_LIKE = ("celeba", "celeb_a", "celebamask_hq", "lfwa")
_UPRIGHT = "upright, as the model does not apply an EXIF orientation to the bytes that it is sent"
# What a picture has to be like.
_PICTURES = {
    ALIGNED: "an encoded JPEG or PNG of one face, cropped as CelebA's are (tfac-predict and the "
    "page of tfac-serve crop the faces of photos so), of any size; " + _UPRIGHT,
    WHOLE: "an encoded JPEG or PNG framed as the training pictures are, which were taken whole; "
    "of any size; " + _UPRIGHT,
}
_SAVED_MODEL = (
    "SavedModel, in the folder above this card",
    "TensorFlow, TensorFlow Serving or tfac-serve",
    "with encoded pictures: decoding, resizing and thresholds are inside",
)
# By name in `tfac.export.formats`.
_FORMATS = {
    "onnx": (
        "ONNX: `formats/model.onnx`, `ask_onnx.py`",
        "onnxruntime",
        "the metadata hold the text of `network.json` under `tfac`",
    ),
    "litert": (
        "LiteRT (TensorFlow Lite): `formats/model.tflite`, `ask_litert.py`",
        "ai-edge-litert",
        "by signature (`get_signature_runner`); by index the outputs are in another order",
    ),
    "openvino": (
        "OpenVINO: `formats/openvino/model.xml`, `ask_openvino.py`",
        "openvino",
        "with `INFERENCE_PRECISION_HINT` `f32`; else it computes in bfloat16 where the processor "
        "can, which moves scores",
    ),
}
_OF_OTHER_FORMATS = """\
The other formats hold the network alone, in float32 with batch norms folded. They take upright RGB
pictures at the trained size as uint8 and give scores and probabilities: decoding, turning, resizing
and thresholds are with whoever asks, as `formats/network.json` says and the programs `ask_*.py`
beside it do. Another way of resizing changes answers."""
_LOSSES = {
    "squared_error": "an estimate of 2p - 1, where p is the probability",
    "binary_crossentropy": "a logit",
}


def write_model_card(
    folder: str | os.PathLike,
    metadata: Mapping[str, Any],
    evaluation: Report | None,
    formats: Sequence[str] = (),
) -> None:
    """Writes ``model_card.md`` and ``model_card.html``, each whole or not at all.

    The page needs no other file and no network. Whatever comes from users (names of attributes and
    data sets, options) is escaped in both.

    Args:
        folder: where to; made if it does not exist.
        metadata: what ``tfac.json`` says.
        evaluation: the report that tfac-evaluate wrote for this model; None says in the card that
            nothing was measured.
        formats: those of `tfac.export.formats.FORMATS` that lie beside the SavedModel.

    Raises:
        DataError: the evaluation is not tfac-evaluate's, or is of another model: it has other
            attributes, or other thresholds than the model's although it says they are its own.
    """
    if evaluation is not None:
        _check_evaluation(evaluation, metadata)
    title = f"Model card: {plain(_network(metadata))} on {plain(_data_name(metadata))}"
    sections = _sections(metadata, evaluation, formats)
    markdown = "\n\n".join([f"# {title}", *(f"## {name}\n\n{text}" for name, text in sections)])
    page = render_page(title, sections, evaluation)
    for name, text in ((MARKDOWN_FILE, markdown + "\n"), (HTML_FILE, page)):
        with whole_file(Path(folder) / name) as aside:
            aside.write_text(text, encoding="utf-8")


def _check_evaluation(evaluation: Report, metadata: Mapping[str, Any]) -> None:
    try:
        _results(evaluation), _slice_results(evaluation), _evaluation_data(metadata, evaluation)
        judged_at = [values["threshold"] for values in evaluation["attributes"].values()]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            "evaluation: expected the report that tfac-evaluate writes. "
            f"Received: {_head(evaluation)} ({error!r})"
        ) from error
    if list(evaluation["attributes"]) != list(metadata["attributes"]):
        raise DataError(
            "evaluation: expected the attributes of the model that is exported, "
            f"{_head(metadata['attributes'])}. Received: {_head(evaluation['attributes'])}"
        )
    if evaluation["thresholds"] == "trained" and judged_at != list(metadata["thresholds"]):
        raise DataError(
            "evaluation: expected one of the model that is exported, at its thresholds "
            f"{_head(metadata['thresholds'])}. Received: {_head(judged_at)}; evaluate it anew"
        )
    judged, exported = evaluation.get("consistent", False), metadata["consistent"]
    if judged != exported:
        raise DataError(
            f"evaluation: expected one of the model that is exported, consistent={exported}. "
            f"Received: consistent={judged}; evaluate it anew with --{'' if exported else 'no'}"
            "consistent"
        )


def _head(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, Sequence | Mapping) else repr(value)
    return text if len(text) <= 80 else f"{text[:80]}..."


def _sections(
    metadata: Mapping[str, Any], evaluation: Report | None, formats: Sequence[str]
) -> list[tuple[str, str]]:
    """Returns the card's headings and what stands below each, as Markdown."""
    return [
        ("Model details", _details(metadata)),
        ("Formats", _formats(formats)),
        ("Intended use", _INTENDED_USE),
        ("Refused uses", _REFUSED_USES),
        ("Factors", _factors(metadata, evaluation)),
        ("Metrics", _METRICS),
        ("Evaluation data", _evaluation_data(metadata, evaluation)),
        ("Results", _results(evaluation)),
        ("Results by slice", _slice_results(evaluation)),
        ("Training data", _training_data(metadata)),
        ("Attributes and thresholds", _thresholds(metadata)),
        ("Landmarks", _landmarks(metadata)),
        ("Ethical considerations", _ethics(metadata)),
        ("Caveats and recommendations", _caveats(metadata, evaluation)),
    ]


def _details(metadata: Mapping[str, Any]) -> str:
    training, size = metadata["training"], metadata["image_size"]
    network = _network(metadata)
    number = len(metadata["attributes"])
    loss = metadata["attribute_loss"]
    meaning = f" ({_LOSSES[loss]})" if loss in _LOSSES else ""
    landmarks = "" if metadata["landmark_scheme"] is None else ", and the places of landmarks"
    rows = [
        ("Network", plain(NETWORKS[network].title)),
        ("Backbone", plain(_backbone(training))),
        (
            "Input",
            f"{_PICTURES[metadata.get('faces', ALIGNED)]}; it is resized to "
            f"{size['height']} x {size['width']} pixels (height x width)",
        ),
        (
            "Output",
            f"for each of {number} attributes a score{meaning}, a probability in [0, 1] and a "
            f"prediction (1 where the probability is above its threshold){landmarks}",
        ),
        (
            "Training",
            f"{metadata['step']} steps of batches of {plain(training['batch_size'])}, loss "
            f"{plain(loss)}, class balance {plain(training['class_balance'])}, attribute weights "
            f"{plain(training['weighting'])}, seed {plain(training['seed'])}",
        ),
        ("Thresholds", f"rule {plain(training['thresholds'])}; below, one for each attribute"),
        (
            "Contradictions",
            "none: where thresholds would give answers that break a label rule, the answer is the "
            "best that breaks none"
            if metadata["consistent"]
            else "may occur: each attribute is answered by itself",
        ),
        ("Trained with", _libraries(metadata, "trained_with")),
        ("Exported with", _libraries(metadata, "exported_with")),
        (
            "Licence",
            "of the code, Apache-2.0; of the weights, what the training data's terms leave "
            "(see training data and landmarks)",
        ),
        ("All options", "in `tfac.json` beside this card, under `training`"),
    ]
    return table(("", ""), rows)


def _formats(formats: Sequence[str]) -> str:
    kinds = [_SAVED_MODEL, *(_FORMATS[name] for name in _FORMATS if name in formats)]
    parts = [table(("format", "needs", "how it is asked"), kinds)]
    if formats:
        parts.append(_OF_OTHER_FORMATS)
    return "\n\n".join(parts)


def _libraries(metadata: Mapping[str, Any], when: str) -> str:
    libraries = (metadata["versions"][when] or {}).items()
    return plain(", ".join(f"{name} {version}" for name, version in libraries)) or "not recorded"


def _backbone(training: Mapping[str, Any]) -> str:
    if not NETWORKS[training["model"]].has_backbone:
        return "the network's own layers, from random weights"
    backbone, start = training["backbone"], training["backbone_weights"]
    if backbone not in BACKBONES:
        return f"{Path(backbone).name}, starting from {start or 'its own weights'}"
    return f"{backbone}, starting from {start or 'random weights'}"


_INTENDED_USE = """\
- Research on facial attributes: comparing methods, taking them apart, looking at errors by slice.
- Describing pictures that you may use, of people who agreed, where a wrong answer harms nobody and
  somebody looks at the answers (for example finding the pictures with eyeglasses in an own album).
- Pictures of single faces, found and aligned as those that it was trained on; `tfac-predict` does
  so with ordinary photos."""

_REFUSED_USES = """\
Do not use it

- to decide about people: hiring, credit, insurance, policing, access;
- to infer gender, age, ethnicity, health or character;
- to rank looks;
- to identify or watch anyone.

Legal rules on biometric categorisation may apply to you."""

_METRICS = """\
All in percent, over the annotated labels of an attribute, at the decision thresholds named below:

- **Accuracy**: right answers. Most attributes are rare, so that always giving the commoner answer
  is often right; that share stands beside it.
- **Balanced accuracy**: the mean of the right answers among positives (TPR) and among negatives
  (TNR); always the same answer has 50.
- **F1**: of precision and TPR. **AP**: average precision, which no threshold enters.
- Means are over the attributes for which the metric is defined: balanced accuracy and AP are not
  where all labels are alike.

A rate over n pictures is uncertain by up to 98 / √n points (95 % interval): 10 points over 96
pictures, 3 over 1,000. For TPR and TNR, n is the number of positives and of negatives."""


def _factors(metadata: Mapping[str, Any], evaluation: Report | None) -> str:
    measured = list(evaluation["slices"]) if evaluation else []
    names = plain(", ".join(measured)) if measured else "none"
    return f"""\
- How often an attribute occurs; how well annotators agree on it.
- Pose, light, blur, size and crop of the face; whether a face was found at all.
- Who is pictured. Measured here are the slices that labels of appearance give: {names}. There are
  no labels of ethnicity, skin tone, age in years or disability, so that **nothing is known about
  differences between such groups**."""


def _evaluation_data(metadata: Mapping[str, Any], evaluation: Report | None) -> str:
    if evaluation is None:
        return _not_measured(metadata)
    rows = [
        ("Data set", plain(evaluation["data_set"])),
        ("Split", plain(evaluation["split"])),
        ("Pictures", f"{evaluation['pictures']:,}"),
        ("Thresholds", _judged_at(evaluation)),
    ]
    return "\n\n".join([table(("", ""), rows), *_evaluation_warnings(metadata, evaluation)])


def _judged_at(evaluation: Report) -> str:
    if evaluation["thresholds"] == "trained":
        return "the model's own, as exported"
    return f"rule {plain(evaluation['thresholds'])}, **not those that are exported**"


def _evaluation_warnings(metadata: Mapping[str, Any], evaluation: Report) -> list[str]:
    training, split, warnings = metadata["training"], evaluation["split"], []
    same_data = evaluation["data_set"] == _data_name(metadata)
    if not same_data:
        warnings.append("The model was trained on another data set than it is judged on here.")
    elif split == training["train_split"]:
        warnings.append("**These are the pictures it was trained on**, which flatters the figures.")
    elif split == training["validation_split"]:
        warnings.append(
            "**The thresholds, and perhaps more, were chosen on this split**, which flatters the "
            "figures; the test split was not looked at."
        )
    return warnings


def _not_measured(metadata: Mapping[str, Any]) -> str:
    slices = [name for name in ("Male", "Young") if name in metadata["attributes"]]
    if len(slices) == 2:
        slices.append("Male*Young")
    flag = f" --slices={','.join(slices)}" if slices else ""
    return f"""\
**Nothing was measured.** This card was written without an evaluation; how well the model does, and
for whom, is unknown. To measure it and to write the card anew:

    tfac-evaluate --workdir=WORKDIR --data_dir=DATA_DIR --split=test{flag}
    tfac-export --workdir=WORKDIR --name=NAME --evaluation=WORKDIR/evaluation/test/metrics.json"""


def _results(evaluation: Report | None) -> str:
    if evaluation is None:
        return "Not measured; see evaluation data."
    headings = ("attribute", "positives", "labels", "commoner answer", "accuracy")
    headings += ("balanced accuracy", "TPR", "TNR", "F1", "AP")
    parts = [table(headings, attribute_rows(evaluation)), single_class_sentence(evaluation)]
    if evaluation.get("mean_calibration_error") is not None:
        without = evaluation.get("mean_uncalibrated_error")
        before = "" if without is None else f"; {percent(without)} without calibration"
        parts.append(
            f"Probabilities are off by {percent(evaluation['mean_calibration_error'])} points "
            f"(expected calibration error, mean over attributes{before})."
        )
    if evaluation.get("contradictions") is not None:
        rows = [
            (plain(rule), percent(found["contradictions"]), percent(found["label_contradictions"]))
            for rule, found in evaluation["label_rules"].items()
        ]
        rows.append(
            (
                "any of these",
                percent(evaluation["contradictions"]),
                percent(evaluation["label_contradictions"]),
            )
        )
        parts += ["Contradictions, in percent of the pictures:"]
        parts += [table(("what contradicts itself", "answers", "labels"), rows)]
    if evaluation.get("landmark_error") is not None:
        parts.append(
            f"Landmarks are off by {percent(evaluation['landmark_error'])} % of the distance "
            f"between the eyes ({evaluation['landmark_pictures']:,} pictures)."
        )
    return "\n\n".join(filter(None, parts))


def _slice_results(evaluation: Report | None) -> str:
    if evaluation is None:
        return "Not measured; see evaluation data."
    if not evaluation["slices"]:
        return (
            "**No slices were measured**: how the errors differ between groups is unknown. "
            "`tfac-evaluate` measures them with `--slices`."
        )
    headings = ("slice", "pictures", "accuracy", "balanced accuracy", "F1", "AP")
    headings += ("attributes with one class",)
    gaps = ("slices by", "metric", "attributes compared", "lowest", "highest", "gap")
    largest = ("slices by", "attribute", "lowest", "highest", "gap")
    return "\n\n".join(
        [
            "Slices are made by the labels, which are opinions about looks.",
            table(headings, slice_rows(evaluation)),
            "### Gaps between slices",
            "In points, over those attributes for which the metric is defined in every slice:",
            table(gaps, gap_rows(evaluation)),
            "The attributes whose balanced accuracy differs most, with positives / labels. Few "
            "positives make large gaps by chance:",
            table(largest, largest_gap_rows(evaluation)),
        ]
    )


def _training_data(metadata: Mapping[str, Any]) -> str:
    data, training = metadata["data"] or {}, metadata["training"]
    splits = ", ".join(f"{name} {count:,}" for name, count in data.get("splits", {}).items())
    rows = [
        ("Data set", plain(_data_name(metadata))),
        ("Fingerprint", plain(data.get("fingerprint", "not recorded"))),
        ("Pictures", plain(splits or "not recorded")),
        ("Trained on split", plain(training["train_split"])),
        ("Validated on split", plain(training["validation_split"])),
    ]
    notes = []
    if _is_synthetic(metadata):
        notes.append("**It has seen drawings alone and knows nothing of real faces.**")
    elif _data_name(metadata) in _CELEBA_LIKE:
        notes.append(
            "CelebA and LFW are for non-commercial research, which extends to models trained on "
            "them. The people pictured are celebrities and no sample of mankind."
        )
    else:
        notes.append("Its terms extend to this model; tfac does not know them.")
    if training["backbone_weights"] == "imagenet":
        notes.append("The backbone started from weights trained on ImageNet, which has terms too.")
    if training["backbone_weights"] == "dlib":
        notes.append(
            "The backbone started from dlib's face recognition network. Its file is public domain "
            "(CC0). Its training pictures, about 3 million of 7,485 people, are to about half from "
            "research data sets (FaceScrub, VGG Face), which have terms, and otherwise from the "
            "web; nobody was asked. Whether the people in this model's training and test pictures "
            "are among them is not known, so that figures may flatter."
        )
    return "\n\n".join([table(("", ""), rows), *notes])


def _thresholds(metadata: Mapping[str, Any]) -> str:
    subjective = metadata["attribute_groups"]["subjective"]
    parts = {name: part for part, names in metadata["part_groups"].items() for name in names}
    rows = [
        (
            plain(name),
            "subjective" if name in subjective else "objective",
            plain(parts.get(name, "")),
            f"{probability:.1%}",
        )
        for name, probability in zip(
            metadata["attributes"], metadata["threshold_probabilities"], strict=True
        )
    ]
    return table(("attribute", "kind", "part", "threshold, as probability"), rows)


def _landmarks(metadata: Mapping[str, Any]) -> str:
    scheme = metadata["landmark_scheme"]
    has = (
        "The model gives no landmarks."
        if scheme is None
        else f"The model gives landmarks of the scheme {plain(scheme)}."
    )
    return f"""\
{has} dlib's 68-point predictor, which `tfac-prepare` annotates with unless `--landmarks` says
otherwise and `tfac-predict` aligns with, was trained on **iBUG 300-W, whose licence excludes
commercial use**. A model that learned from its landmarks inherits the question."""


def _ethics(metadata: Mapping[str, Any]) -> str:
    if _is_synthetic(metadata):
        return """\
The attributes have CelebA's names, but the labels are those that the pictures were drawn with:
stereotypes in the drawing are what the model learned. No picture of a person was used."""
    celeba = """\
CelebA's labels are the opinions of few annotators about pictures of celebrities. Independent
re-annotation finds that only 12 of the 40 attributes reach 95 % agreement, and that
Mouth_Slightly_Open = true is wrong in about a fifth of its rows (arXiv 2210.07356).

"""
    own = """\
The labels are what annotators thought of pictures; who they were and how far they agree, tfac does
not know.

"""
    about = celeba if _data_name(metadata) in _CELEBA_LIKE else own
    names = [plain(name) for name in metadata["attribute_groups"]["subjective"]]
    if names:
        about += f"""\
Opinions that say as much about the annotators as about the faces are: {", ".join(names)}.
"""
    if "Male" in metadata["attributes"]:
        about += """\
"Male" is a binary label of appearance, not anybody's gender.
"""
    return f"""{about}\
The people pictured are not a sample of mankind, and error rates differ between groups: look at the
slices before you believe a mean. A face is personal data and, in many places, biometric data."""


def _caveats(metadata: Mapping[str, Any], evaluation: Report | None) -> str:
    measured = (
        "The figures are of one split of one data set and one training run; other pictures give "
        "others."
        if evaluation
        else "Nothing was measured (see evaluation data)."
    )
    calibrated = (
        "Probabilities were calibrated on the validation split; other pictures may show an "
        "attribute more or less often, or be labelled otherwise."
        if metadata.get("calibration")
        else "Probabilities are not calibrated: 0.9 need not be right nine times in ten."
    )
    return f"""\
- {measured}
- {calibrated}
- It answers for any picture, also for one without a face. `valid` says only that the picture could
  be decoded.
- Measure it on your own pictures, by slice, before use; watch the shares of its answers in use, and
  take it out of service when they drift.
- A SavedModel is a program: load only those you trust."""


def _network(metadata: Mapping[str, Any]) -> str:
    return metadata["training"]["model"]


def _data_name(metadata: Mapping[str, Any]) -> str:
    return (metadata["data"] or {}).get("name") or "an unrecorded data set"


def _is_synthetic(metadata: Mapping[str, Any]) -> bool:
    return _data_name(metadata) == "synthetic_faces"
