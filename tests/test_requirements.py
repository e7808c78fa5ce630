import runpy
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
import setuptools
from packaging.requirements import Requirement

# Of these tfac uses what is not promised: file formats, or parts that are private.
ONE_MINOR_RELEASE = ("keras", "keras-hub", "starlette", "tensorflow", "uvicorn")


@pytest.fixture(scope="module")
def requirements():
    """Every requirement of setup.py and of its extras, by name."""
    given = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, "setup", lambda **arguments: given.update(arguments))
        patch.chdir(Path(__file__).parents[1])
        runpy.run_path("setup.py")
    texts = [*given["install_requires"], *sum(given["extras_require"].values(), [])]
    return {each.name: each for each in map(Requirement, texts)}


def test_ranges_admit_what_the_tests_run_with(requirements):
    for name, requirement in requirements.items():
        try:
            installed = version(name)
        except PackageNotFoundError:
            continue  # of an extra
        assert installed in requirement.specifier, f"{requirement}, installed: {installed}"


@pytest.mark.parametrize("name", ONE_MINOR_RELEASE)
def test_packages_used_beyond_their_promise_are_held_to_one_minor_release(requirements, name):
    specifier = requirements[name].specifier
    major, minor = map(int, version(name).split(".")[:2])
    assert f"{major}.{minor}.99" in specifier and f"{major}.{minor + 1}" not in specifier
