"""Commands, links, pictures, figures and generated pages of the documentation."""

import ast
import dataclasses
import importlib.util
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "saved_models/README.md")]
    + [ROOT / "benchmarks/README.md", ROOT / "deploy/README.md", *(ROOT / "docs").glob("*.md")]
)
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
PROGRAMS = ("data_report", "evaluate", "experiment", "export", "predict", "prepare", "serve")
MODULES = [f"tfac.cli.{name}" for name in (*PROGRAMS, "train", "demo")]
MODULES += ["pipelines.clean", "pipelines.run", "pipelines.lineage", "pipelines.draw_faces"]
TAKES_WORDS = ("tfac.cli.predict", "pipelines.lineage")
OTHER_PROGRAMS = {"awk", "curl", "docker", "echo", "grpcurl", "kubectl", "ln", "mkdir", "sed"}
OTHER_PROGRAMS |= {"export", "pip", "tensorboard"}
# Options that the pages name and that belong to programs of others.
OTHER_OPTIONS = {"direct_num_workers", "direct_running_mode", "dask_client_address", "flink_master"}
OTHER_OPTIONS |= {"environment_type", "job_endpoint", "project", "region", "temp_location"}
OTHER_OPTIONS |= {"sdk_container_image", "build-arg", "check", "help", "NAME", "noNAME"}
MARK = "*Not run by the tests: "

# Parses command lines with a program's own flags: values, ranges and required flags count too.
PARSE = """
import importlib, json, sys
from absl import flags
from absl.testing import flagsaver
from tfac.errors import ConfigError

module = importlib.import_module(sys.argv[1])
answers = []
for words in json.load(sys.stdin):
    with flagsaver.flagsaver():
        try:
            rest = flags.FLAGS(words)[1:]
            if hasattr(module, "config_from_flags"):
                module.config_from_flags()
            answers.append({"rest": rest})
        except (flags.Error, ConfigError) as error:
            answers.append({"error": str(error)})
names = sorted(flags.FLAGS)
print(json.dumps({"answers": answers, "names": names}))
"""


@dataclasses.dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    language: str
    text: str
    marked: bool


def blocks() -> Iterator[Block]:
    fenced = re.compile(r"^( *)```(\w*)\n(.*?)^ *```\n(?=\n*(.*))", re.MULTILINE | re.DOTALL)
    for page in PAGES:
        for found in fenced.finditer(page.read_text("utf-8")):
            yield Block(page, found[2], found[3], found[4].startswith(MARK))


def commands(block: Block) -> Iterator[list[str]]:
    """Yields the words of each command, its variables filled in and its comments left out."""
    variables = {"PWD": "."}
    lines, pending = block.text.replace("\\\n", " ").splitlines(), ""
    for line in lines:
        pending += line
        for name, value in variables.items():
            pending = pending.replace(f"${name}", value)
        try:
            words = shlex.split(pending, comments=True)
        except ValueError:  # a quotation goes on in the next line
            pending += "\n"
            continue
        pending = ""
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0], re.DOTALL):
            name, _, value = words.pop(0).partition("=")
            variables[name] = value
        while words:
            end = words.index("&&") if "&&" in words else len(words)
            yield words[:end]
            words = words[end + 1 :]
    assert not pending, f"{block.page}: a quotation does not end: {pending}"


SHELL = [block for block in blocks() if block.language == "sh"]
ALL_COMMANDS = [(block, words) for block in SHELL for words in commands(block)]


def module_of(words: list[str]) -> tuple[str, list[str]] | None:
    """Returns the module that a command runs, and its arguments; None for other programs."""
    if words[0].startswith("tfac-"):
        return "tfac.cli." + words[0].removeprefix("tfac-").replace("-", "_"), words[1:]
    if words[0] in ("python", ".venv/bin/python") and words[1] == "-m":
        return words[2], words[3:]
    return None


@pytest.fixture(scope="module")
def parsed():
    """Returns {module: (its command lines with what came of each, its options)}."""
    lines = {module: [] for module in MODULES}
    for _, words in ALL_COMMANDS:
        found = module_of(words)
        if found:
            assert found[0] in lines, f"{' '.join(words)}: there is no such program"
            lines[found[0]].append(["PROGRAM", *found[1]])
    running = {}
    for module in MODULES:
        running[module] = subprocess.Popen(
            [sys.executable, "-c", PARSE, module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
    results = {}
    for module, process in running.items():
        output, _ = process.communicate(json.dumps(lines[module]))
        answer = json.loads(output)
        results[module] = list(zip(lines[module], answer["answers"], strict=True)), answer["names"]
    return results


@pytest.mark.parametrize("module", MODULES)
def test_commands_are_as_their_program_takes_them(parsed, module):
    for words, answer in parsed[module][0]:
        assert "error" not in answer, f"{module} {' '.join(words[1:])}: {answer['error']}"
        assert module in TAKES_WORDS or not answer["rest"], f"{module}: {answer['rest']}"


def test_experiments_exist():
    from tfac.experiments.tables import TABLES
    from tfac.experiments.variants import EXPERIMENTS

    known = {"list", "all", *(e.name for e in EXPERIMENTS), *(table.name for table in TABLES)}
    for _, words in ALL_COMMANDS:
        for word in words:
            if word.startswith(("--experiment=", "EXPERIMENTS=")):
                assert set(word.partition("=")[2].split(",")) <= known, " ".join(words)


def test_other_commands_name_what_exists():
    makefile = (ROOT / "Makefile").read_text("utf-8")
    setup = (ROOT / "setup.py").read_text("utf-8")
    for block, words in ALL_COMMANDS:
        said = f"{block.page.name}: {' '.join(words)}"
        if module_of(words):
            continue
        if words[0] == "make":
            for word in words[1:]:
                name, _, value = word.partition("=")
                pattern = rf"^{name} \?=" if value else rf"^{name}:"
                assert re.search(pattern, makefile, re.MULTILINE), said
        elif words[0] in ("python", ".venv/bin/python"):
            source = (ROOT / words[1]).read_text("utf-8")
            for word in words[2:]:
                name = re.match(r"--(\w+)", word)
                assert not name or f'"{name[1]}"' in source, said
        else:
            assert words[0] in OTHER_PROGRAMS, said
            for extras in re.findall(r"\.\[([\w,]+)\]", " ".join(words)):
                assert all(f'"{extra}": ' in setup for extra in extras.split(",")), said


def test_files_of_the_repository_that_commands_name_exist():
    for block, words in ALL_COMMANDS:
        for word in words:
            path = word.rpartition("=")[2]
            if re.match(r"(benchmarks|deploy|docs|findings|pipelines|tests|tfac)/", path):
                there = ROOT / path
                new = "--output" in word and there.parent.is_dir()
                assert there.exists() or new, f"{block.page.name}: {path}"


def end_to_end_text(module: str) -> str:
    """Returns the text of the tests that run a program."""
    package, _, name = module.rpartition(".")
    if package != "tfac.cli":
        files = sorted((ROOT / "tests/pipelines").rglob("*.py"))
    else:
        files = [ROOT / f"tests/cli/test_{name}.py"]
        for folder in ("deploy", "serving") if name == "serve" else ():
            files += sorted((ROOT / "tests" / folder).rglob("*.py"))
    return "\n".join(file.read_text("utf-8") for file in files)


def test_options_in_unmarked_blocks_are_used_by_an_end_to_end_test():
    for block, words in ALL_COMMANDS:
        found = module_of(words)
        if not found or block.marked:
            continue
        text = end_to_end_text(found[0])
        for word in found[1]:
            option = re.match(r"--(?:no)?(\w+)", word)
            if option:
                used = re.search(rf"--(no)?{option[1]}\b|\b{option[1]}=|\"{option[1]}\"", text)
                assert used, f"{block.page.name}: {' '.join(words)}: {option[0]} is in no test"


def test_blocks_without_a_program_of_ours_are_marked():
    """What the tests cannot run says so, as whatever needs Docker, hours or another machine."""
    for block in SHELL:
        programs = {words[0] for words in commands(block)}
        ours = any(module_of(words) or words[0] == "python" for words in commands(block))
        if not ours and programs != {"curl", "echo"} and programs != {"curl"}:
            assert block.marked, f"{block.page.name}: {block.text}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_options_named_in_the_text_exist(parsed, page):
    known = {name for _, names in parsed.values() for name in names} | OTHER_OPTIONS
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for code in re.findall(r"`([^`]+)`", text):
        for option in re.findall(r"(?<![\w-])--([\w-]+)", code):
            assert option in known or option.removeprefix("no") in known, f"--{option}"
    for program in re.findall(r"\btfac-([a-z]\w*(?:-report)?)\b", text):
        module = program.replace("-", "_")
        # A version tag or an image may be called after tfac too.
        assert f"tfac.cli.{module}" in MODULES or module in ("pipeline", "models"), program


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_and_pictures_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8").replace("\n", " ")):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_stand_in_fenced_blocks(page):
    outside = re.sub(
        r"^ *```.*?^ *```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    assert not re.findall(r"^ {4,}(?:tfac-|make |python |pip |docker )\S*", outside, re.MULTILINE)
    for block in SHELL:
        if block.page == page:
            assert not re.search(r"^\s*//", block.text, re.MULTILINE), block.text


def test_python_blocks_can_be_read():
    for block in blocks():
        if block.language == "python" and block.page.name != "api.md":
            ast.parse(block.text)


def test_readme_is_one_screen_and_a_bit():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


def test_figures_of_benchmarks_are_those_of_the_results():
    results = "\n".join(
        file.read_text("utf-8") for file in sorted((ROOT / "benchmarks/results").glob("*.md"))
    )
    text = (ROOT / "benchmarks/README.md").read_text("utf-8")
    rows = "\n".join(line for line in text.splitlines() if line.startswith("|"))
    figures = re.findall(r"[\d.,]+ \([\d.,]+ to [\d.,]+\)", rows)
    assert len(figures) > 50
    assert not [figure for figure in figures if figure not in results]


@pytest.mark.parametrize("name", ["api", "options"])
def test_generated_pages_are_current(name):
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    page = (ROOT / "docs" / f"{name}.md").read_text("utf-8")
    assert page == getattr(generate, name)(), "run: python docs/generate.py"
