"""Which runs a set of experiments takes, and where each has its folder."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfac.experiments.registry import canonical_name, get_config, get_experiment, get_protocol
from tfac.training.config import TrainConfig


@dataclasses.dataclass(frozen=True)
class Run:
    """One training of one experiment.

    Attributes:
        experiment: its canonical name, see `tfac.experiments.registry.canonical_name`.
        protocol: the protocol's name.
        seed: its seed.
        workdir: its folder.
        given: options in place of the experiment's own, seed among them.
    """

    experiment: str
    protocol: str
    seed: int
    workdir: Path
    given: Mapping[str, Any]

    def __str__(self):  # noqa: D105
        return f"{self.experiment} seed {self.seed}"

    def config(self) -> TrainConfig:
        """Returns its options.

        Raises:
            ConfigError: what is given cannot go together with the experiment.
        """
        return get_config(self.experiment, self.protocol, self.given)


def plan_runs(
    experiments: Sequence[str],
    protocol: str,
    num_seeds: int,
    output_dir: Path,
    given: Mapping[str, Any],
) -> list[Run]:
    """Returns the runs in the order to run them: seed 0 of every experiment, then seed 1.

    Experiments with the same options share their runs. Where the protocol fine-tunes, a run starts
    from the folder that the run of the same experiment and seed has under the other protocol.

    Args:
        experiments: names of experiments.
        protocol: a protocol's name.
        num_seeds: seeds 0 to this less one.
        output_dir: the folder of all protocols.
        given: options in place of every experiment's own.
    """
    names = list(dict.fromkeys(canonical_name(name, protocol) for name in experiments))
    runs = []
    for seed in range(num_seeds):
        for name in names:
            options = {**given, "seed": seed}
            start = get_protocol(protocol).starts_from.get(get_experiment(name).family)
            if start and "initial_workdir" not in given:
                start_name = canonical_name(name, start)
                options["initial_workdir"] = str(workdir(output_dir, start, start_name, seed))
            runs.append(
                Run(name, protocol, seed, workdir(output_dir, protocol, name, seed), options)
            )
    return runs


def workdir(output_dir: Path, protocol: str, experiment: str, seed: int) -> Path:
    """Returns the folder of a run."""
    return output_dir / protocol / experiment / f"seed_{seed}"
