"""The networks in PyTorch, as whoever takes PyTorch would write them.

They need PyTorch and `tfac.attributes`, which says how attributes are grouped. As a program this is
the worker of `pytorch.py`: it reads requests, a JSON object a line, and answers each with another.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tfac.attributes import (
    ATTRIBUTES,
    OBJECTIVE_ATTRIBUTES,
    PART_GROUPS,
    SUBJECTIVE_ATTRIBUTES,
    assign_groups,
    attribute_indices,
)

_BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet50": (3, 4, 6, 3)}
_LANDMARKS = 72
_BETA = 0.5  # weight of the landmark loss, the default of tfac-train


class _Block(nn.Module):
    """Two convolutions of 3x3, or one between two of 1x1, and a shortcut."""

    def __init__(self, channels: int, width: int, stride: int, bottleneck: bool):
        super().__init__()
        self.filters = 4 * width if bottleneck else width
        if bottleneck:
            layers = [(channels, width, 1, 1), (width, width, 3, stride), (width, 4 * width, 1, 1)]
        else:
            layers = [(channels, width, 3, stride), (width, width, 3, 1)]
        self.shortcut = nn.Identity()
        if stride > 1 or channels != self.filters:
            self.shortcut = _convolution(channels, self.filters, 1, stride)
        self.convolutions = nn.ModuleList(_convolution(*layer) for layer in layers)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        outputs = maps
        for convolution in self.convolutions[:-1]:
            outputs = functional.relu(convolution(outputs))
        return functional.relu(self.convolutions[-1](outputs) + self.shortcut(maps))


def _convolution(channels: int, filters: int, size: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels, filters, size, stride, size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(filters))


class _ResNet(nn.Module):
    """Maps uint8 [B, H, W, 3] to the maps [B, C, h, w] that end each stage."""

    def __init__(self, backbone: str):
        super().__init__()
        self.stem = _convolution(3, 64, 7, 2)
        self.stages, self.channels, channels = nn.ModuleList(), [], 64
        for stage, count in enumerate(_BLOCKS[backbone]):
            blocks = []
            for i in range(count):
                stride = 2 if stage and not i else 1
                blocks.append(_Block(channels, 64 * 2**stage, stride, backbone == "resnet50"))
                channels = blocks[-1].filters
            self.stages.append(nn.Sequential(*blocks))
            self.channels.append(channels)
        for name, values in (("mean", [0.485, 0.456, 0.406]), ("std", [0.229, 0.224, 0.225])):
            constant = 255 * torch.tensor(values).view(3, 1, 1)
            self.register_buffer(name, constant, persistent=False)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        images = images.permute(0, 3, 1, 2)  # channels-last in memory
        maps = functional.relu(self.stem((images.float() - self.mean) / self.std))
        maps = functional.max_pool2d(maps, 3, 2, 1)
        outputs = []
        for stage in self.stages:
            maps = stage(maps)
            outputs.append(maps)
        return outputs


class _Head(nn.Linear):
    """A linear layer that computes in float32."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        with torch.autocast(features.device.type, enabled=False):
            return super().forward(features.float())


class PlainNetwork(nn.Module):
    """A ResNet, the mean over positions, and a score for each attribute (`baseline`)."""

    def __init__(self, backbone: str):
        super().__init__()
        self.backbone = _ResNet(backbone)
        self.head = _Head(self.backbone.channels[-1], len(ATTRIBUTES))

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Maps uint8 [B, H, W, 3] to scores [B, A]."""
        return {"scores": self.head(self.backbone(images)[-1].mean((2, 3)))}


class _GroupAttention(nn.Module):
    """A mask for each part group, and the mean of the maps under each mask (MGG-Net, Eq. 1)."""

    def __init__(self, channels: int, groups: int, width: int = 32):
        super().__init__()
        self.groups = groups
        self.projection = nn.Parameter(torch.empty(groups, width))
        self.convolution = _convolution(channels, groups * width, 3, 1)
        self.normalization = nn.BatchNorm2d(groups)
        nn.init.xavier_uniform_(self.projection)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        hidden = functional.relu(self.convolution(maps))  # [B, G * D, H, W]
        projection = self.projection[:, :, None, None]
        masks = functional.conv2d(hidden, projection, groups=self.groups)  # [B, G, H, W]
        masks = functional.relu(self.normalization(masks))
        return torch.einsum("bchw,bghw->bgc", maps, masks) / maps[0, 0].numel()


class _GraphCorrelation(nn.Module):
    """Messages between the groups, weighed by an affinity (MGG-Net, Eq. 2)."""

    def __init__(self, channels: int, groups: int, alpha: float = 0.5):
        super().__init__()
        self.alpha = alpha
        self.transfer = nn.Parameter(torch.empty(groups, channels, channels))
        self.edge = nn.Parameter(torch.empty(groups, channels))
        self.register_buffer("to_itself", torch.eye(groups, dtype=torch.bool), persistent=False)
        for matrix in (*self.transfer, self.edge):
            nn.init.xavier_uniform_(matrix)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        messages = torch.einsum("bjc,icd->bijd", features, self.transfer)
        edges = (functional.relu(messages) * self.edge[:, None]).sum(-1)  # [B, G, G]
        affinity = edges.masked_fill(self.to_itself, -torch.inf).softmax(-1)
        received = (affinity[..., None] * messages).sum(2)  # [B, G, C]
        return functional.relu((1 - self.alpha) * features + self.alpha * received)


class _GroupHead(nn.Module):
    """A score for each attribute from its group's feature, in float32 (MGG-Net, Eq. 3)."""

    def __init__(self, channels: int, group_indices: Sequence[int]):
        super().__init__()
        self.kernel = nn.Parameter(torch.empty(len(group_indices), channels))
        self.bias = nn.Parameter(torch.zeros(len(group_indices)))
        self.register_buffer("group_indices", torch.tensor(group_indices), persistent=False)
        nn.init.xavier_uniform_(self.kernel)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return (features[:, self.group_indices] * self.kernel).sum(-1) + self.bias


class _Level(nn.Module):
    """Maps a stage's maps to scores before and after the graph."""

    def __init__(self, channels: int):
        super().__init__()
        names, indices = assign_groups(PART_GROUPS, ATTRIBUTES)
        self.attention = _GroupAttention(channels, len(names))
        self.graph = _GraphCorrelation(channels, len(names))
        self.head = _GroupHead(channels, indices)

    def forward(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.attention(maps)  # [B, G, C]
        return self.head(features), self.head(self.graph(features))


class MGGNet(nn.Module):
    """Group attention and graph correlation on the third and fourth block of a ResNet."""

    def __init__(self, backbone: str):
        super().__init__()
        self.backbone = _ResNet(backbone)
        _, p3, p4, p5 = self.backbone.channels
        self.head = _Head(p5, len(ATTRIBUTES))
        self.p3, self.p4 = _Level(p3), _Level(p4)

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Maps uint8 [B, H, W, 3] to the answer "scores" and its parts, each [B, A]."""
        _, p3, p4, p5 = self.backbone(images)
        outputs = {"base_scores": self.head(p5.mean((2, 3)))}
        outputs["P3_group_scores"], outputs["P3_graph_scores"] = self.p3(p3)
        outputs["P4_group_scores"], outputs["P4_graph_scores"] = self.p4(p4)
        averaged = ("base_scores", "P3_graph_scores", "P4_graph_scores")
        scores = torch.stack([outputs[name] for name in averaged])
        # The score of the mean probability (Eq. 4).
        shown = functional.logsigmoid(scores).logsumexp(0)
        outputs["scores"] = shown - functional.logsigmoid(-scores).logsumexp(0)
        return outputs


class _PyramidBranch(nn.Module):
    """Max pooling over grids, fully connected layers, and a head in float32."""

    def __init__(
        self,
        channels: int,
        levels: Sequence[int],
        hidden_units: Sequence[int],
        outputs: int,
        shortcut: bool = False,
    ):
        super().__init__()
        self.levels, self.shortcut = levels, shortcut
        width, layers = channels * sum(n * n for n in levels), []
        for units in hidden_units:
            layers += [nn.Linear(width, units, bias=False), nn.BatchNorm1d(units), nn.ReLU()]
            width = units
        self.hidden = nn.Sequential(*layers)
        self.head = _Head(width + shortcut * channels, outputs)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        pooled = [functional.adaptive_max_pool2d(maps, n) for n in self.levels]  # [B, C, n, n]
        pooled = [bins.permute(0, 2, 3, 1).flatten(1) for bins in pooled]
        features = self.hidden(torch.cat(pooled, 1))
        if self.shortcut:
            features = torch.cat([features, maps.mean((2, 3))], 1)
        return self.head(features)


class DMMCNN(nn.Module):
    """Branches for objective attributes, subjective ones and landmarks, as `tfac-train` has them.

    That is with batch normalisation in the branches and a shortcut to the attributes' heads.
    """

    def __init__(self, backbone: str):
        super().__init__()
        self.backbone = _ResNet(backbone)
        channels = self.backbone.channels[-1]
        count = len(OBJECTIVE_ATTRIBUTES)
        self.objective = _PyramidBranch(channels, (1,), (1024,), count, shortcut=True)
        count = len(SUBJECTIVE_ATTRIBUTES)
        self.subjective = _PyramidBranch(channels, (1, 2, 3), (2048, 1024), count, shortcut=True)
        self.landmarks = _PyramidBranch(channels, (1,), (1024,), 2 * _LANDMARKS)
        order = attribute_indices(ATTRIBUTES, (*OBJECTIVE_ATTRIBUTES, *SUBJECTIVE_ATTRIBUTES))
        self.register_buffer("score_order", torch.tensor(order), persistent=False)

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Maps uint8 [B, H, W, 3] to scores [B, A] and landmarks [B, K, 2]."""
        maps = self.backbone(images)[-1]
        scores = torch.cat([self.objective(maps), self.subjective(maps)], 1)
        landmarks = self.landmarks(maps).unflatten(1, (_LANDMARKS, 2))
        return {"scores": scores[:, self.score_order], "landmarks": landmarks}


_NETWORKS = {"baseline": PlainNetwork, "mgg_net": MGGNet, "dmm_cnn": DMMCNN}


def create_calls(
    network: str,
    backbone: str,
    batch: dict,
    *,
    half: bool,
    compiled: bool,
    device: str = "cpu",
    weights: Sequence[np.ndarray] = (),
) -> dict[str, Callable[[], torch.Tensor]]:
    """Returns "training" and "inference", each a call that does one batch.

    Training gives the loss and inference the scores. The step is that of `tfac-train`: the joint
    loss, AdamW whose decay leaves biases and norms alone; here channels-last, with PyTorch's fused
    AdamW.

    Args:
        network: baseline, mgg_net or dmm_cnn.
        backbone: resnet18 or resnet50.
        batch: "images" uint8 [B, H, W, 3], "labels" and "label_mask" float32 [B, A], for dmm_cnn
            "landmarks" [B, K, 2] and "landmarks_valid" [B].
        half: bfloat16 by autocast.
        compiled: with `torch.compile`.
        device: PyTorch's name of it.
        weights: those to start from, see `load_weights`; none for PyTorch's own.
    """
    batch = {name: torch.as_tensor(value).to(device) for name, value in batch.items()}
    model = _NETWORKS[network](backbone)
    if weights:
        load_weights(model, weights)
    model = model.to(device, memory_format=torch.channels_last)
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": 0.05},
        {"params": [p for p in model.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, fused=True)
    forward = torch.compile(model) if compiled else model

    def autocast() -> contextlib.AbstractContextManager:
        return torch.autocast(device, torch.bfloat16, enabled=half)

    def training() -> torch.Tensor:
        model.train()
        optimizer.zero_grad(set_to_none=True)
        with autocast():
            outputs = forward(batch["images"])
        loss = _joint_loss(outputs, batch)
        loss.backward()
        optimizer.step()
        return loss.detach()

    def inference() -> torch.Tensor:
        model.eval()
        with torch.inference_mode(), autocast():
            return forward(batch["images"])["scores"]

    return {"training": training, "inference": inference}


def load_weights(network: nn.Module, arrays: Sequence[np.ndarray]) -> None:
    """Takes the weights of the same network in Keras, in the order of this one's `state_dict`.

    Raises:
        ValueError: their number or a shape is another.
    """
    state = network.state_dict()
    state = {name: value for name, value in state.items() if "num_batches_tracked" not in name}
    if len(state) != len(arrays):
        raise ValueError(f"expected {len(state)} weights. Received: {len(arrays)}")
    for (name, value), array in zip(state.items(), arrays, strict=True):
        new = torch.from_numpy(array)
        if new.ndim == 4:
            new = new.permute(3, 2, 0, 1)
        if isinstance(network.get_submodule(name.rpartition(".")[0]), nn.Linear):
            new = new.t()
        if new.shape != value.shape:
            raise ValueError(f"{name}: expected {[*value.shape]}. Received: {[*new.shape]}")
        value.copy_(new)


def _joint_loss(outputs: dict, batch: dict) -> torch.Tensor:
    """The loss of `tfac.training.step.joint_loss` with cross-entropy and uniform weights."""
    losses = [
        functional.binary_cross_entropy_with_logits(
            scores, batch["labels"], weight=batch["label_mask"], reduction="sum"
        )
        for name, scores in outputs.items()
        if name.endswith("scores")
    ]
    if "landmarks" in outputs:
        per_picture = (outputs["landmarks"] - batch["landmarks"]).square().sum((1, 2))  # [B]
        losses.append(_BETA * (per_picture * batch["landmarks_valid"]).sum())
    return sum(losses) / len(batch["labels"])


def _serve() -> None:
    """Answers {"create": {...}} and {"run": [way, kind, calls]} until the input ends."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    calls: dict[str, dict] = {}
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    for line in sys.stdin:
        request = json.loads(line)
        answer: dict = {"torch": torch.__version__}
        if "create" in request:
            calls.clear()
            calls |= _create(**request["create"])
            answer["first"] = {way: _first_answers(calls[way]) for way in calls}
        if "run" in request:
            way, kind, count = request["run"]
            start = time.perf_counter()
            for _ in range(count):
                value = float(calls[way][kind]().sum())
            answer |= {"seconds": (time.perf_counter() - start) / count, "value": value}
        print(json.dumps(answer), file=answers, flush=True)


def _create(network, backbone, half, ways, batch, weights) -> dict[str, dict]:
    """Returns each way's calls; `batch` and `weights` are .npz files."""
    torch.compiler.reset()
    options = {"batch": dict(np.load(batch)), "half": half, "weights": [*np.load(weights).values()]}
    return {
        way: create_calls(network, backbone, compiled=way == "compiled", **options) for way in ways
    }


def _first_answers(calls: dict[str, Callable[[], torch.Tensor]]) -> dict:
    return {"scores": calls["inference"]().tolist(), "loss": float(calls["training"]())}


if __name__ == "__main__":
    _serve()
