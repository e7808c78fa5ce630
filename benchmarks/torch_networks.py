"""The plain network in PyTorch, as whoever takes PyTorch would write it; needs PyTorch alone.

As a program it is the worker of `pytorch.py`: it reads requests, a JSON object a line, and answers
each with another.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

ATTRIBUTES = 40
_BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet50": (3, 4, 6, 3)}


class _Block(nn.Module):
    """Two convolutions of 3x3, or one between two of 1x1, and a shortcut."""

    def __init__(self, channels: int, width: int, stride: int, bottleneck: bool):
        super().__init__()
        self.filters = 4 * width if bottleneck else width
        if bottleneck:
            layers = [(channels, width, 1, 1), (width, width, 3, stride), (width, 4 * width, 1, 1)]
        else:
            layers = [(channels, width, 3, stride), (width, width, 3, 1)]
        self.convolutions = nn.ModuleList(_convolution(*layer) for layer in layers)
        self.shortcut = nn.Identity()
        if stride > 1 or channels != self.filters:
            self.shortcut = _convolution(channels, self.filters, 1, stride)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        outputs = maps
        for convolution in self.convolutions[:-1]:
            outputs = functional.relu(convolution(outputs))
        return functional.relu(self.convolutions[-1](outputs) + self.shortcut(maps))


def _convolution(channels: int, filters: int, size: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels, filters, size, stride, size // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(filters))


class PlainNetwork(nn.Module):
    """A ResNet, the mean over positions, and 40 outputs; takes uint8 [B, H, W, 3]."""

    def __init__(self, backbone: str):
        super().__init__()
        bottleneck = backbone == "resnet50"
        self.stem = _convolution(3, 64, 7, 2)
        channels, blocks = 64, []
        for stage, count in enumerate(_BLOCKS[backbone]):
            for i in range(count):
                stride = 2 if stage and not i else 1
                blocks.append(_Block(channels, 64 * 2**stage, stride, bottleneck))
                channels = blocks[-1].filters
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(channels, ATTRIBUTES)
        self.register_buffer("mean", 255 * torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Maps uint8 [B, H, W, 3] to scores [B, 40]."""
        images = images.permute(0, 3, 1, 2)  # channels-last in memory
        maps = functional.relu(self.stem((images.float() - self.mean) / self.std))
        maps = self.blocks(functional.max_pool2d(maps, 3, 2, 1))
        features = maps.mean((2, 3))
        with torch.autocast(features.device.type, enabled=False):
            return self.head(features.float())


def create_calls(
    backbone: str, batch: dict, *, half: bool, compiled: bool, device: str = "cpu"
) -> dict[str, Callable[[], torch.Tensor]]:
    """Returns "training" and "inference", each a call that does one batch.

    The step is that of `tfac-train`: binary cross-entropy summed over attributes, AdamW whose decay
    leaves biases and norms alone; here channels-last, with PyTorch's fused AdamW.

    Args:
        backbone: resnet18 or resnet50.
        batch: "images" uint8 [B, H, W, 3], "labels" and "label_mask" float32 [B, A].
        half: bfloat16 by autocast.
        compiled: with `torch.compile`.
        device: PyTorch's name of it.
    """
    batch = {name: torch.as_tensor(value).to(device) for name, value in batch.items()}
    network = PlainNetwork(backbone).to(device, memory_format=torch.channels_last)
    groups = [
        {"params": [p for p in network.parameters() if p.ndim > 1], "weight_decay": 0.05},
        {"params": [p for p in network.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-3, fused=True)
    forward = torch.compile(network) if compiled else network

    def autocast() -> contextlib.AbstractContextManager:
        return torch.autocast(device, torch.bfloat16, enabled=half)

    def training() -> torch.Tensor:
        network.train()
        optimizer.zero_grad(set_to_none=True)
        with autocast():
            scores = forward(batch["images"])
        losses = functional.binary_cross_entropy_with_logits(
            scores, batch["labels"], weight=batch["label_mask"], reduction="sum"
        )
        loss = losses / len(scores)
        loss.backward()
        optimizer.step()
        return loss.detach()

    def inference() -> torch.Tensor:
        network.eval()
        with torch.inference_mode(), autocast():
            return forward(batch["images"])

    return {"training": training, "inference": inference}


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
            calls = _create(**request["create"])
        if "run" in request:
            way, kind, count = request["run"]
            start = time.perf_counter()
            for _ in range(count):
                value = float(calls[way][kind]().sum())
            answer |= {"seconds": (time.perf_counter() - start) / count, "value": value}
        print(json.dumps(answer), file=answers, flush=True)


def _create(backbone, image_size, batch_size, half, ways) -> dict[str, dict]:
    torch.manual_seed(0)
    torch.compiler.reset()
    batch = {
        "images": torch.randint(256, (batch_size, image_size, image_size, 3), dtype=torch.uint8),
        "labels": torch.randint(2, (batch_size, ATTRIBUTES)).float(),
        "label_mask": torch.ones(batch_size, ATTRIBUTES),
    }
    return {
        way: create_calls(backbone, batch, half=half, compiled=way == "compiled") for way in ways
    }


if __name__ == "__main__":
    _serve()
