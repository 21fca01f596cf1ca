"""The rules of the house that a reader of one file cannot see."""

import ast
import configparser
import importlib
import inspect
import pathlib
import pkgutil
import re
import subprocess
import sys

import pytest

import keras_xcons

CHECKOUT = pathlib.Path(__file__).parents[1]
PACKAGE = CHECKOUT / "keras_xcons"
FILES = sorted(PACKAGE.rglob("*.py"))

# Top to bottom. A room imports only from rooms below it, not from its neighbours.
FLOORS = [
    {"cli"},
    {"recipes"},
    {"zoo", "callbacks"},
    {"evaluation"},
    {"report"},
    {"comet", "protopnet", "xnn"},
    {"methods"},
    {"plotting"},
    {"explainers"},
    {"attacks", "consistency"},
    {"metrics"},
    {"models"},
    {"layers"},
    {"data"},
    {"files"},
    {"command_flags"},
    {"options"},
    {"checks", "command_errors"},
    {
        *("offline", "printable", "processes", "startup", "version"),
    },
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def room_of(path):
    """The first name below the package: a folder or a file."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(tree):
    """Yields the dotted names that a file imports from this package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        yield from (name for name in names if name.split(".")[0] == "keras_xcons")


def misplaced(room, tree):
    """Returns the imports of a room that do not lead downward."""
    wrong = []
    for name in imports(tree):
        parts = name.split(".")
        target = parts[1] if len(parts) > 1 else None
        inside = target == room
        if not inside and FLOOR.get(target, -1) <= FLOOR[room]:
            wrong.append(name)
    return wrong


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_lead_downward(path):
    if path == PACKAGE / "__init__.py":
        # The front door opens into every room.
        return
    room = room_of(path)
    assert room in FLOOR, f"{room} has no place in FLOORS"
    assert misplaced(room, ast.parse(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "room, code, wrong",
    [
        ("models", "from keras_xcons import checks, zoo", ["keras_xcons.zoo"]),
        ("attacks", "import keras_xcons.consistency", ["keras_xcons.consistency"]),
        ("checks", "import keras_xcons as kx", ["keras_xcons"]),
        ("layers", "def f():\n  from keras_xcons.models.view import x", None),
        ("zoo", "from keras_xcons.zoo import store\nimport keras", []),
    ],
)
def test_misplaced_imports_are_noticed(room, code, wrong):
    wrong = ["keras_xcons.models.view.x"] if wrong is None else wrong
    assert misplaced(room, ast.parse(code)) == wrong


def test_files_stay_small():
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in FILES}
    assert {str(path): count for path, count in lines.items() if count > 350} == {}


def test_import_leaves_heavy_packages_alone():
    code = (
        "import sys, keras, tensorflow; before = set(sys.modules); "
        "import keras_xcons; "
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
    )
    heavy = {
        *("tensorflow_datasets", "tf_keras_vis", "matplotlib", "scipy", "h5py"),
        "jinja2",
    }
    loaded = set(done.stdout.split())
    assert "keras_xcons" in loaded
    assert loaded & heavy == set()


def test_readme_explains_every_dependency():
    config = configparser.ConfigParser()
    config.read(CHECKOUT / "setup.cfg", encoding="utf-8")
    required = config["options"]["install_requires"].split()
    names = {re.match(r"[\w.-]+", line).group() for line in required}
    readme = (CHECKOUT / "README.md").read_text(encoding="utf-8")
    table = "\n".join(line for line in readme.splitlines() if line.startswith("|"))
    missing = {name for name in names if not re.search(rf"\b{name}\b", table)}
    assert len(names) == len(required)
    assert missing == set()


def test_contributing_lists_the_rooms_in_order():
    page = (CHECKOUT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = page.partition("## Where things are")[2].partition("\n##")[0]
    listed = [
        set(re.match(r"\w+(, \w+)*", line.strip()).group().split(", "))
        for line in section.splitlines()
        if re.match(r" {4}\S", line)
    ]
    assert listed == FLOORS


def test_version_is_written_once():
    changelog = (CHECKOUT / "CHANGELOG.md").read_text(encoding="utf-8")
    latest = re.search(r"^## \[(\d[^\]]*)\]", changelog, re.MULTILINE).group(1)
    assert importlib.import_module("keras_xcons.version").__version__ == latest


def public_callables():
    """Yields every public function, class and method, with its dotted name."""
    for found in pkgutil.walk_packages(keras_xcons.__path__, "keras_xcons."):
        module = importlib.import_module(found.name)
        for name, value in vars(module).items():
            if name.startswith("_") or getattr(value, "__module__", "") != found.name:
                continue
            if inspect.isfunction(value) or inspect.isclass(value):
                yield f"{found.name}.{name}", value
            if inspect.isclass(value):
                yield from own_methods(f"{found.name}.{name}", value)


def own_methods(prefix, cls):
    """Yields the public methods and properties that a class itself introduces.

    What it overrides (`call`, `get_config`, `on_epoch_end` ...) is another's
    interface, documented there.
    """
    kinds = (staticmethod, classmethod, property)
    for name, value in vars(cls).items():
        overrides = any(hasattr(base, name) for base in cls.__bases__)
        if name.startswith("_") or overrides:
            continue
        if inspect.isfunction(value) or isinstance(value, kinds):
            yield f"{prefix}.{name}", value


def test_everything_public_is_documented():
    assert [n for n, value in public_callables() if not inspect.getdoc(value)] == []
