import subprocess
import sys
from importlib import metadata

import tfac


def test_names_are_sorted_and_there():
    assert tfac.__all__ == sorted(tfac.__all__)
    assert all(hasattr(tfac, name) for name in tfac.__all__)


def test_what_is_offered_is_reached_from_the_package_alone():
    program = (
        "import tfac; tfac.models.MGGNet, tfac.layers.GroupAttention, tfac.losses.PartGuidance;"
        "tfac.data.read_info, tfac.training.run_training, tfac.serving.Client"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
    assert dir(tfac) == tfac.__all__ and "TrainConfig" in dir(tfac.training)


def test_version_is_the_installed_one():
    assert tfac.__version__ == metadata.version("tfac")


def test_importing_tfac_does_not_import_tensorflow():
    program = "import sys, tfac; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
