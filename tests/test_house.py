"""The house: imports point one way, in no circle, and what is private of a library has one file."""

import ast
import functools
import pathlib
import re
from collections import defaultdict
from collections.abc import Iterator

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Each room may import itself and those before it.
ROOMS = ("layers", "gan", "trainers", "callbacks", "experiments", "scripts", "tools", "benchmarks")
# What is private of a library without an underscore: its source tree, or code generated for it.
PRIVATE_TREES = (
    "keras.src",
    "tensorflow.python",
    "tensorflow.lite.python",
    "tensorflow_model_optimization.python",
    "ai_edge_litert.schema_py_generated",
    "ai_edge_litert.tools",
)
# Names with an underscore that are public: of NamedTuple, and of os.
PUBLIC = {"_asdict", "_fields", "_make", "_replace", "_exit"}
ASKING = ("getattr", "hasattr", "setattr")
# File -> what is private of a library in it, and the test that holds the library to it.
CONTRACTS = {
    "gan/keras_graph.py": (
        {"_nodes_by_depth", "_flatten_layers", "_keras_history"},
        "tests/gan/test_keras_graph.py",
    ),
    "gan/flops.py": (
        {"tensorflow.python.framework.op_def_registry"},
        "tests/gan/test_flops.py",
    ),
    "trainers/fused_adam.py": (
        {"_momentums", "_velocities", "_get_variable_index"},
        "tests/trainers/test_fused_adam.py",
    ),
    "gan/metrics/nets/keras.py": (
        {"keras.src.utils.file_utils"},
        "tests/gan/metrics/nets/test_keras.py",
    ),
    "gan/compression/files/flatbuffer.py": (
        {"ai_edge_litert.schema_py_generated", "ai_edge_litert.tools.flatbuffer_utils"},
        "tests/gan/compression/files/test_flatbuffer.py",
    ),
    "gan/compression/device/interpreter.py": (
        {"_get_ops_details"},
        "tests/gan/compression/device/test_interpreter.py",
    ),
    "gan/compression/students/pruning.py": (
        {"tensorflow_model_optimization.python.core.sparsity.keras.pruning_impl"},
        "tests/gan/compression/students/test_pruning_engine.py",
    ),
    "gan/compression/files/quantization.py": (
        {
            "tensorflow.lite.python.convert.mlir_quantize",
            "_experimental_calibrate_only",
            "_experimental_disable_per_channel_quantization_for_dense_layers",
        },
        "tests/gan/compression/files/test_quantization.py",
    ),
}


@functools.cache
def parsed(folder: str) -> dict[str, ast.Module]:
    """Path from the root -> what is in it, for every Python file of a folder."""
    files = sorted((ROOT / folder).rglob("*.py"))
    return {p.relative_to(ROOT).as_posix(): ast.parse(p.read_text()) for p in files}


def house() -> dict[str, ast.Module]:
    return {path: tree for room in ROOMS for path, tree in parsed(room).items()}


def module(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of each import, inside functions too; not those for type checkers."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{ast.unparse(node)}: imports are absolute here"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
        else:
            yield from imports(node)


def upward(rooms: dict[str, ast.Module]) -> list[str]:
    return [
        f"{path}:{line} imports {name}"
        for path, tree in rooms.items()
        for line, name in imports(tree)
        if (top := name.partition(".")[0]) in ROOMS
        and ROOMS.index(top) > ROOMS.index(path.partition("/")[0])
    ]


def graph(rooms: dict[str, ast.Module]) -> dict[str, set[str]]:
    """Module -> the modules it imports, packages on the way to them included."""
    known = {module(path) for path in rooms}
    found: dict[str, set[str]] = {name: set() for name in known}
    for path, tree in rooms.items():
        importer = module(path)
        for _, name in imports(tree):
            parts = name.split(".")
            prefixes = [".".join(parts[:i]) for i in range(1, len(parts) + 1)]
            reached = [prefix for prefix in prefixes if prefix in known]
            # Its own packages are there already, unless it asks one of them for something.
            found[importer].update(
                p for p in reached if p == reached[-1] or not f"{importer}.".startswith(f"{p}.")
            )
    return found


def circle(edges: dict[str, set[str]]) -> list[str]:
    """Modules that import each other in turn, the first one again at the end; [] if none do."""
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name not in done:
            for other in sorted(edges[name]):
                if found := walk(other, [*path, name]):
                    return found
            done.add(name)
        return []

    return next((found for name in sorted(edges) if (found := walk(name, []))), [])


def own_names(tree: ast.Module) -> set[str]:
    """What a file defines: functions, classes, variables and attributes of self or cls."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node):
            found.add(node.attr)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "object.__setattr__":
            found.add(ast.literal_eval(node.args[1]))
    return found


def is_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC


def private_attributes(tree: ast.Module, inherited: set[str]) -> set[str]:
    """Private names that are asked of others' objects, by a dot or by getattr and its kin.

    Args:
        tree: a file.
        inherited: what `self` may have from classes of ours in other files.
    """
    own, found = own_names(tree), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr):
            if node.attr not in own | (inherited if is_self(node) else set()):
                found.add(node.attr)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ASKING:
            name = node.args[1]
            if isinstance(name, ast.Constant) and is_private(name.value) and name.value not in own:
                found.add(name.value)
    return found


def private_imports(tree: ast.Module) -> set[str]:
    return {
        name
        for _, name in imports(tree)
        if name.partition(".")[0] not in ROOMS
        and (name.startswith(PRIVATE_TREES) or any(is_private(p) for p in name.split(".")))
    }


def test_imports_point_one_way():
    assert upward(house()) == []


def test_no_modules_import_each_other():
    assert circle(graph(house())) == []


def test_flags_are_the_scripts_alone():
    below = ROOMS[: ROOMS.index("scripts")]
    found = [
        f"{path}:{line}"
        for room in below
        for path, tree in parsed(room).items()
        for line, name in imports(tree)
        if name in ("absl.flags", "absl.app")
    ]
    assert found == []


def test_each_private_name_of_a_library_is_in_one_file():
    inherited = {name for tree in house().values() for name in own_names(tree)}
    found: dict[str, set[str]] = {}
    for path, tree in house().items():
        names = private_imports(tree) | (private_attributes(tree, inherited) - inherited)
        if names:
            found[path] = names
    # A new one belongs in a file of its own that says why and of which version, with a test of it.
    assert found == {path: names for path, (names, _) in CONTRACTS.items()}
    everywhere = [name for names in found.values() for name in names]
    assert len(everywhere) == len(set(everywhere))


def test_no_file_reaches_into_another_of_ours():
    inherited = {name for tree in house().values() for name in own_names(tree)}
    rooms = {path: tree for path, tree in house().items() if not path.startswith("benchmarks/")}
    reached = {p: private_attributes(tree, inherited) & inherited for p, tree in rooms.items()}
    assert {path: names for path, names in reached.items() if names} == {}


def test_in_tests_too_a_private_name_has_one_file():
    users = defaultdict(set)
    for path, tree in parsed("tests").items():
        for name in private_imports(tree):
            users[name].add(path)
    assert {name: files for name, files in users.items() if len(files) > 1} == {}


@pytest.mark.parametrize("path", CONTRACTS)
def test_a_file_with_private_names_says_of_which_version_and_is_held_to_it(path):
    nodes = ast.walk(house()[path])
    documented = (n for n in nodes if isinstance(n, (ast.Module, ast.FunctionDef)))
    docs = " ".join(filter(None, map(ast.get_docstring, documented)))
    names, test = CONTRACTS[path]
    assert re.search(r"\d\.\d+", docs) and test in docs
    held = {module(path), *names}
    imported = [name for _, name in imports(parsed("tests")[test])]
    assert any(name == its or name.startswith(f"{its}.") for name in imported for its in held)


def test_files_and_modules_that_are_named_exist():
    """In pages, docstrings, comments and settings."""
    pages = [*ROOT.glob("*.md"), ROOT / "Makefile", ROOT / "setup.cfg", *ROOT.glob("docs/**/*.md")]
    code = [ROOT / path for path in [*house(), *parsed("tests")] if path != "tests/test_house.py"]
    file = re.compile(rf"\b(?:{'|'.join(ROOMS)}|tests|recipes|docs)/[\w/.-]*\w")
    dotted = re.compile(
        rf"(?<![\w.])(?:{'|'.join(set(ROOMS) - {'layers'})})\.[\w.]*\w"
    )  # keras.layers
    lost = []
    for page in [*pages, *code]:
        for text in page.read_text().splitlines():
            lost += [f"{page}: {name}" for name in file.findall(text) if not (ROOT / name).exists()]
            if page in pages or any(mark in text for mark in ('"""', "#", "`", "import ")):
                lost += [f"{page}: {name}" for name in dotted.findall(text) if not is_module(name)]
    assert lost == []


def is_module(name: str) -> bool:
    """Whether a dotted name is that of a module, or of something that is in one."""
    place = ROOT
    for part in name.split("."):
        if (place / f"{part}.py").is_file():
            return True
        if not (place / part).is_dir():
            return part in re.findall(r"\w+", (place / "__init__.py").read_text())
        place /= part
    return True


# What the tests above look for is found where it is.


def read(**files: str) -> dict[str, ast.Module]:
    return {f"{name.replace('__', '/')}.py": ast.parse(code) for name, code in files.items()}


def test_an_upward_arrow_is_found_in_a_function_too():
    rooms = read(gan__a="def f():\n    from trainers import base", trainers__b="import gan.a")
    assert upward(rooms) == ["gan/a.py:2 imports trainers.base"]
    assert not upward(read(tools__a="import scripts.cli", callbacks__b="from layers import Dense"))


@pytest.mark.parametrize(
    ("back", "closed"),
    [
        ("from gan import a", True),
        ("def f():\n    import gan.a", True),
        ("if TYPE_CHECKING:\n    import gan.a", False),
        ("import layers", False),
    ],
)
def test_a_circle_is_found_over_three_modules(back, closed):
    rooms = read(gan__a="from gan.b import x", gan__b="import gan.c", gan__c=back, layers__d="")
    rooms["gan/__init__.py"] = ast.parse("")
    assert circle(graph(rooms)) == (["gan.a", "gan.b", "gan.c", "gan.a"] if closed else [])


def test_a_package_that_loads_its_user_is_a_circle():
    rooms = read(
        gan__data__one="from gan.data import load", gan__data____init__="import gan.data.one"
    )
    rooms = {path.replace("//init/", "/__init__"): tree for path, tree in rooms.items()}
    rooms["gan/__init__.py"] = ast.parse("")
    assert circle(graph(rooms)) == ["gan.data", "gan.data.one", "gan.data"]


def test_private_names_are_found_however_they_are_asked_for():
    tree = ast.parse(
        "import keras.src.ops\n"
        "from keras import _tf_keras\n"
        "import gan._own\n"
        "class A(B):\n"
        "    def f(self, other):\n"
        "        self._mine = other._mine, other._theirs, getattr(other, '_asked'), self._base\n"
        "        return self._keras, other._replace(), other.__class__\n"
    )
    assert private_imports(tree) == {"keras.src.ops", "keras._tf_keras"}
    assert private_attributes(tree, {"_base", "_theirs"}) == {"_theirs", "_asked", "_keras"}
