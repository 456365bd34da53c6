"""The layout of the package: who may import whom, and which file tests which."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import synthgan

ROOT = Path(synthgan.__file__).parent
TESTS = Path(__file__).parent
MODULES = sorted(path for path in ROOT.rglob("*.py") if "__pycache__" not in path.parts)

FLOORS = {  # a file imports from its own floor or a lower one
    "errors": 0,
    "seeding": 0,
    "params": 0,
    "dtypes": 1,
    "scalars": 1,
    "schema": 1,
    "arrow": 1,
    "layout": 1,
    "memory": 1,
    "io": 1,
    "batches": 1,
    "demands": 1,
    "callbacks": 1,
    "datasets": 1,
    "transforms": 2,
    "constraints": 2,
    "evaluation": 2,
    "curves": 2,
    "gan": 3,
    "boosting": 3,
    "trees": 3,
    "diffusion": 3,
    "synthesizers": 4,
    "augment": 5,
    "impute": 5,
    "unpaired": 5,
    "translate": 5,
    "cli": 6,
    "__main__": 7,
}
BANS = {
    "torch": {
        "errors",
        "seeding",
        "params",
        "dtypes",
        "scalars",
        "schema",
        "layout",
        "memory",
        "io",
        "batches",
        "demands",
    }
    | {"datasets", "transforms", "constraints", "evaluation", "curves", "cli"},
    "pandas": {"gan", "boosting", "trees", "diffusion", "errors", "seeding", "params", "layout"},
    "sklearn": {"gan", "diffusion", "schema", "layout", "io"},
}
UNSAFE_MODULES = {"pickle", "cloudpickle", "joblib", "dill", "marshal", "shelve"}
NETWORK_MODULES = {"socket", "ssl", "http", "urllib", "ftplib", "smtplib", "requests", "httpx", "aiohttp"}
UNSAFE_CALLS = {"eval", "exec", "compile", "torch.load", "torch.save", "numpy.load", "np.load"}
TORCH_FREE = ["synthgan", "synthgan.schema", "synthgan.io", "synthgan.demands", "synthgan.transforms"]
TORCH_FREE += ["synthgan.constraints", "synthgan.evaluation"]
TORCH_FREE += ["synthgan.synthesizers.independent", "synthgan.synthesizers.archive", "synthgan.cli"]


def part(path):
    """The first name below synthgan: 'gan' for synthgan/gan/networks.py."""
    first = path.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


def imports(path, *, module_level=False):
    """Full names of all modules that a file imports."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if module_level else list(ast.walk(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def as_file(name):
    """The file of an imported synthgan module or of a name in it."""
    for candidate in (name, name.rpartition(".")[0]):
        base = ROOT.parent / Path(*candidate.split("."))
        for path in (base.with_suffix(".py"), base / "__init__.py"):
            if path.is_file():
                return path
    return None


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
class TestEveryModule:
    def test_imports_no_higher_floor(self, path):
        if path == ROOT / "__init__.py":
            return  # the names of every floor, imported on first use
        assert part(path) in FLOORS, f"{path.name} has no floor: add it to FLOORS"
        for name in imports(path):
            if name.startswith("synthgan.") and as_file(name) != ROOT / "__init__.py":
                other = name.split(".")[1]
                assert FLOORS[other] <= FLOORS[part(path)], f"{path.name} imports {name} from above"

    def test_imports_nothing_that_is_banned(self, path):
        tops = {name.split(".")[0] for name in imports(path)}
        for library, places in BANS.items():
            assert not (part(path) in places and library in tops), f"{path.name} imports {library}"
        assert not tops & UNSAFE_MODULES
        assert not tops & NETWORK_MODULES, "nothing is sent anywhere"
        assert "random" not in tops, "randomness comes from synthgan.seeding"

    def test_runs_no_code_from_data(self, path):
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        assert not {ast.unparse(call) for call in calls} & UNSAFE_CALLS

    def test_is_no_catch_all(self, path):
        assert path.stem not in {"utils", "util", "helpers", "common", "misc"}

    def test_has_a_docstring_that_says_something(self, path):
        assert len(ast.get_docstring(ast.parse(path.read_text())) or "") > 20

    def test_has_its_tests_in_the_same_place(self, path):
        relative = path.relative_to(ROOT)
        if (path.name == "__init__.py" and relative.parent.name != "datasets") or path.name == "__main__.py":
            return
        mirror = TESTS / relative.parent / f"test_{path.stem}.py"
        if path.name == "__init__.py":
            mirror = TESTS / f"test_{relative.parent.name}.py"
        assert mirror.is_file(), f"{relative} has no {mirror.relative_to(TESTS)}"


def test_modules_do_not_import_each_other_in_circles():
    edges = {
        path: {as_file(name) for name in imports(path, module_level=True) if name.startswith("synthgan")}
        for path in MODULES
    }
    done = set()

    def visit(path, trail):
        assert path not in trail, " -> ".join(p.name for p in [*trail, path])
        if path not in done:
            for other in edges.get(path, set()) - {path, ROOT / "__init__.py", None}:
                visit(other, [*trail, path])
            done.add(path)

    for path in MODULES:
        visit(path, [])


def test_what_needs_no_torch_does_not_load_it():
    code = f"""
import importlib, sys
for name in {TORCH_FREE}:
    importlib.import_module(name)
    assert "torch" not in sys.modules, name
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_importing_the_package_loads_no_heavy_library():
    code = "import synthgan, sys; assert not {'torch', 'pandas', 'sklearn', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_public_name_can_be_imported():
    assert set(synthgan.__all__) <= set(dir(synthgan))
    for name in synthgan.__all__:
        assert getattr(synthgan, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'TabularGan'"):
        synthgan.TabularGan  # noqa: B018
