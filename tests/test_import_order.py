"""The layout: imports run one way, packages stay light."""

import ast
import dataclasses
import functools
import graphlib
import json
import re

from tests.helpers import ROOT, programs

# Each level may import the ones above it; members of one level don't import each other.
LEVELS = (
    ("normtest_tf",),  # Its version; it imports nothing.
    ("normtest_tf.errors", "normtest_tf.text"),
    ("normtest_tf.system", "normtest_tf.normalization"),
    ("normtest_tf.datasets", "normtest_tf.backbones"),
    ("normtest_tf.training",),
    ("normtest_tf.runs", "normtest_tf.diagnosis"),
    ("normtest_tf.sweeps", "normtest_tf.export", "normtest_tf.analysis"),
    ("normtest_tf.report",),
    ("plots",),
    ("experiments",),
    ("tests",),
)
RANKS = {unit: rank for rank, level in enumerate(LEVELS) for unit in level}
LIBRARY = "normtest_tf"
TREES = (LIBRARY, "plots", "experiments", "tests")
HEAVY = ("keras", "tensorflow", "matplotlib")


@dataclasses.dataclass(frozen=True)
class Import:
    """An imported module; `late` if its importer loads it later, or only for types."""

    name: str
    line: int
    late: bool


@functools.cache
def modules():
    """Returns the path of every module by its name."""
    found = {}
    for tree in TREES:
        for path in sorted((ROOT / tree).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts).removesuffix(".__init__")] = path
    return found


@functools.cache
def syntax(name):
    return ast.parse(modules()[name].read_text(encoding="utf-8"))


def is_ours(name):
    return name.partition(".")[0] in TREES


@functools.cache
def imports(name):
    """Returns a module's imports of our modules, including those in functions."""
    return tuple(
        Import(target, node.lineno, late)
        for node, late in import_statements(syntax(name))
        for target in targets(node, name)
        if is_ours(target)
    )


def import_statements(node, late=False):
    """Yields each import statement below `node`, and whether it runs late or never."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, late
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from import_statements(child, late=True)
        else:
            is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from import_statements(child, late or is_function)


def targets(node, importer):
    """Returns the names of the modules that an import statement loads."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        is_package = modules()[importer].name == "__init__.py"
        parts = importer.split(".")
        parts = parts[: len(parts) - node.level + is_package]
        base = ".".join([*parts, *filter(None, [node.module])])
    named = [f"{base}.{alias.name}" for alias in node.names]
    return [name if name in modules() else base for name in named]


def unit(name):
    """Returns the package of the order that a module belongs to."""
    return ".".join(name.split(".")[: 2 if name.startswith(LIBRARY) else 1])


def place(name, line):
    return f"{modules()[name].relative_to(ROOT)}:{line}"


def assert_none(violations):
    violations = list(violations)
    assert not violations, "\n".join(["", *violations])


def test_no_import_runs_against_the_order():
    assert_none(
        f"{place(name, found.line)} imports {found.name}"
        for name in modules()
        for found in imports(name)
        if unit(found.name) != unit(name)
        and RANKS[unit(found.name)] >= RANKS[unit(name)]
    )


def test_no_program_in_a_string_imports_tests():
    assert_none(
        place(name, node.lineno)
        for name in modules()
        if unit(name) != "tests"
        for node in ast.walk(syntax(name))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.search(r"^\s*(from|import) tests\b", node.value, re.MULTILINE)
    )


def test_modules_do_not_import_each_other_in_a_cycle():
    # Imports in functions and those for types count, since a reader follows them, too.
    graph = {
        name: {found.name for found in imports(name)} - {name} for name in modules()
    }
    graphlib.TopologicalSorter(graph).prepare()  # Raises CycleError, with the cycle.


IMPORT_PACKAGES = """
import importlib, json, sys
loaded = {}
for package in json.loads(sys.argv[1]):
    before = set(sys.modules)
    importlib.import_module(package)
    loaded[package] = sorted(set(sys.modules) - before)
print(json.dumps(loaded))
"""


def test_importing_a_package_imports_no_heavy_library():
    packages = [name for name, path in modules().items() if path.stem == "__init__"]
    packages = [name for name in packages if unit(name) != "tests"]
    done = programs.run_code(IMPORT_PACKAGES, json.dumps(packages))
    loaded = json.loads(done.stdout)
    assert_none(
        f"{package} imports {library}"
        for package, names in loaded.items()
        for library in HEAVY
        if library in names
    )


def test_a_packages_docstring_names_all_of_its_modules():
    assert_none(
        f"{path.relative_to(ROOT)} does not name {child}"
        for package, path in modules().items()
        if path.name == "__init__.py" and unit(package) != "tests"
        for parent, _, child in (name.rpartition(".") for name in modules())
        if parent == package
        if not re.search(rf"\b{child}\b", ast.get_docstring(syntax(package)) or "")
    )


def test_private_names_stay_in_their_module():
    assert_none(
        f"{place(name, node.lineno)}: {ast.unparse(node)[:80]}"
        for name in modules()
        for node in ast.walk(syntax(name))
        if private_name(node, bound_modules(name)) is not None
    )


@functools.cache
def bound_modules(name):
    """Returns the names that a module gives to those of our modules it imports."""
    bound = set()
    for node, _ in import_statements(syntax(name)):
        if any(is_ours(target) for target in targets(node, name)):
            bound |= {alias.asname or alias.name for alias in node.names}
    return frozenset(bound)


def private_name(node, bound):
    """Returns the private name of another module that `node` uses, or None."""
    used = []
    if isinstance(node, ast.ImportFrom) and is_ours(node.module or "."):
        used = [alias.name for alias in node.names]
    elif isinstance(node, ast.Attribute) and ast.unparse(node.value) in bound:
        used = [node.attr]
    elif isinstance(node, ast.Call) and len(node.args) > 1:  # As monkeypatch does.
        owner, attribute = node.args[:2]
        if isinstance(attribute, ast.Constant) and ast.unparse(owner) in bound:
            used = [str(attribute.value)]
    private = [name for name in used if re.match("_(?!_)", name)]
    return private[0] if private else None
