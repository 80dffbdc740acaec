"""Static checks of architecture and form.

Layers import only downwards; a heavy or optional package has one importing file and is imported
inside functions; threads, clocks and processes are limited to few files; importing has no side
effects; files and functions are short.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("engine", "exporters", "training", "bench")

# Packages in pipeline order: a module may import its own package and those before it.
ENGINE = (
    *("errors", "clock", "events", "timing", "system"),
    *("motion", "config", "audio", "text", "model", "postprocess"),
    *("generate", "bundle", "kernels", "stream", "session"),
)
TRAINING = (
    *("speech", "data", "module_io", "loop", "composer", "sources"),
    *("warm_start", "vq", "gesture", "bundle", "__main__"),
)
LAYERS = {"engine": ENGINE, "training": TRAINING}

# Packages that a package may import. Command lines may import all.
MAY_IMPORT = {
    "engine": {"engine"},
    "exporters": {"engine", "exporters"},
    "training": {"engine", "training"},
    "bench": {"engine", "exporters", "training", "bench"},
}
COMMANDS = ("exporters/commands/", "training/__main__.py", "exporters/viewer/__main__.py")

# Heavy or optional packages, each with the number of files that may import it; websockets has two
# because server and client are separate.
HEAVY = {
    "fasttext": 1,
    "librosa": 1,
    "matplotlib": 1,
    "nncf": 1,
    "onnxruntime": 1,
    "openvino": 1,
    "pocketsphinx": 1,
    "pythonosc": 1,
    "ray": 1,
    "smplx": 1,
    "sounddevice": 1,
    "soundfile": 1,
    "soxr": 1,
    "tensorboard": 1,
    "torch_tensorrt": 1,
    "trimesh": 1,
    "viser": 1,
    "webrtcvad": 1,
    "websockets": 2,
}

CLOCKS = {
    *("_thread", "asyncio", "concurrent", "multiprocessing", "queue", "sched", "selectors"),
    *("signal", "subprocess", "threading", "time"),
}
# Files that may use threads, clocks and processes, with the allowed modules.
CLOCK_FILES: dict[str, set[str]] = {
    "engine/events.py": {"threading.Lock"},
    "engine/audio/queue.py": {"threading.Event", "threading.Lock"},
    "engine/audio/player.py": {"threading.Lock", "time"},
    "engine/audio/source.py": CLOCKS,
    "engine/text/recogniser.py": CLOCKS,
    "engine/stream/autotune.py": {"time"},
    "engine/session/clock.py": {"threading.Event", "threading.Lock", "time"},
    "engine/session/cadence.py": {"threading.Event", "threading.Lock", "threading.Thread"},
    "engine/session/capture.py": {"threading.Event", "threading.Thread"},
    "engine/session/base.py": {"queue", "threading.Event"},
    "engine/session/live.py": {"queue"},
    "engine/session/multi.py": {"queue", "threading.Event", "threading.Lock", "threading.Thread"},
    "exporters/websocket.py": CLOCKS,
}
CLOCK_FOLDERS = ("exporters/commands/", "exporters/viewer/", "training/", "bench/")
# Files that set environment variables of optional libraries.
MAY_SET_ENVIRONMENT = ("engine/system/privacy.py",)
MAY_PRINT = ("exporters/commands/", "exporters/viewer/__main__.py", "training/", "bench/")

# Statements that a module may have at its top level.
STATEMENTS = (
    *(ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef),
    *(ast.Assign, ast.AnnAssign),
)
SIDE_EFFECTS = (
    *("open", "print", "input", "exec", "eval", "__import__"),
    *("os", "sys", "socket", "shutil", "tempfile", "logging", "warnings", "importlib", "torch"),
    *CLOCKS,
)
READERS = ("read_text", "read_bytes", "exists", "is_file", "is_dir", "glob", "load", "loads")

MAX_LINES = 400
MAX_FUNCTION_LINES = 50


@dataclass(frozen=True)
class Import:
    """An import statement of a source.

    Attributes:
        module: dotted name.
        name: imported name; empty for a plain import.
        line: line number.
        inside: whether it is inside a function.
        typing: whether it is for type checkers only.

    """

    module: str
    name: str
    line: int
    inside: bool
    typing: bool


@dataclass(frozen=True)
class Source:
    path: str  # relative to the root, with slashes

    @cached_property
    def text(self) -> str:
        return (ROOT / self.path).read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def package(self) -> str:
        return self.path.split("/")[0]

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        return tuple(_imports(self.tree, inside=False, typing=False))


def _imports(node: ast.AST, *, inside: bool, typing: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, "", child.lineno, inside, typing)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"line {child.lineno}: imports are absolute here"
            for alias in child.names:
                yield Import(child.module or "", alias.name, child.lineno, inside, typing)
        function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        checked = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        yield from _imports(child, inside=inside or function, typing=typing or checked)


@cache
def sources() -> tuple[Source, ...]:
    paths = [p for package in PACKAGES for p in sorted((ROOT / package).rglob("*.py"))]
    return tuple(Source(p.relative_to(ROOT).as_posix()) for p in paths)


def subpackage(module: str) -> str:
    """`engine.audio.voice_gate` -> `audio`."""
    return module.split(".")[1]


def targets(source: Source) -> Iterator[tuple[Import, str]]:
    """Imports of project modules with the imported module; `from engine import x` is engine.x."""
    modules = {s.module for s in sources()}
    for found in source.imports:
        if found.module.split(".")[0] in PACKAGES:
            deeper = f"{found.module}.{found.name}"
            yield found, deeper if deeper in modules else found.module


def report(problems: list[str]) -> None:
    assert not problems, "\n" + "\n".join(dict.fromkeys(problems))


def test_sources_and_imports_are_found() -> None:
    packages = {source.package for source in sources()}
    assert packages == set(PACKAGES)
    assert len(sources()) > 50
    assert sum(1 for s in sources() for _ in targets(s)) > 100


@pytest.mark.parametrize("package", LAYERS)
def test_every_subpackage_has_a_layer(package: str) -> None:
    found = {subpackage(s.module) for s in sources() if s.package == package and "." in s.module}
    assert len(LAYERS[package]) == len(set(LAYERS[package]))
    assert found == set(LAYERS[package])


@pytest.mark.parametrize("package", LAYERS)
def test_layers_import_only_downwards(package: str) -> None:
    rank = {name: i for i, name in enumerate(LAYERS[package])}
    problems = []
    for source in (s for s in sources() if s.package == package and "." in s.module):
        own = subpackage(source.module)
        for found, module in targets(source):
            if not module.startswith(f"{package}."):
                continue
            other = subpackage(module)
            if rank[other] > rank[own]:
                problems.append(f"{source.path}:{found.line}: {own} imports {other} above it")
    report(problems)


def test_packages_import_only_towards_the_engine() -> None:
    problems = []
    for source in sources():
        if source.path.startswith(COMMANDS):
            continue
        for found, module in targets(source):
            if module.split(".")[0] not in MAY_IMPORT[source.package]:
                problems.append(f"{source.path}:{found.line}: imports {module}")
            if module.startswith("exporters.commands") and source.package != "bench":
                problems.append(f"{source.path}:{found.line}: imports the command lines")
    report(problems)


def test_there_are_no_import_cycles() -> None:
    graph = {s.module: {m for f, m in targets(s) if not f.typing} - {s.module} for s in sources()}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path[path.index(module) :], module))
        if module not in done:
            for other in sorted(graph.get(module, ())):
                visit(other, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("package", HEAVY)
def test_a_heavy_package_has_one_importing_file(package: str) -> None:
    files = {s.path for s in sources() for i in s.imports if i.module.split(".")[0] == package}
    assert len(files) <= HEAVY[package], f"{package} is imported by {sorted(files)}"


def test_heavy_packages_are_imported_inside_functions() -> None:
    report(
        [
            f"{source.path}:{found.line}: import {found.module} inside the function that uses it"
            for source in sources()
            for found in source.imports
            if found.module.split(".")[0] in HEAVY and not (found.inside or found.typing)
        ]
    )


def test_only_figures_imports_matplotlib() -> None:
    drawing = [s.path for s in sources() if any("matplotlib" in i.module for i in s.imports)]
    assert drawing == ["bench/plots/figures.py"]


def test_threads_clocks_and_processes_are_limited_to_few_files() -> None:
    problems = []
    for source in sources():
        if source.path.startswith(CLOCK_FOLDERS):
            continue
        allowed = CLOCK_FILES.get(source.path, set())
        for found in source.imports:
            top = found.module.split(".")[0]
            full = f"{found.module}.{found.name}"
            if top in CLOCKS and not {top, found.module, full} & allowed:
                problems.append(f"{source.path}:{found.line}: {full.rstrip('.')}")
    report(problems)


def test_only_commands_print_or_read_the_environment() -> None:
    problems = []
    for source in sources():
        if source.path.startswith((*MAY_PRINT, *MAY_SET_ENVIRONMENT)):
            continue
        for node in ast.walk(source.tree):
            text = ""
            if isinstance(node, ast.Call):
                text = ast.unparse(node.func)
            elif isinstance(node, ast.Attribute):
                text = ast.unparse(node)
            if text in ("print", "os.environ", "os.getenv", "os.putenv", "sys.stdout.write"):
                problems.append(f"{source.path}:{node.lineno}: {text}")
    report(problems)


def _main_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in (
        *("TYPE_CHECKING", "typing.TYPE_CHECKING", "__name__ == '__main__'"),
    )


def _side_effect(node: ast.AST) -> str:
    """Name of a call in `node` with side effects; empty if there is none."""
    for call in ast.walk(node):
        if isinstance(call, ast.Call):
            name = ast.unparse(call.func)
            if name.split(".")[0] in SIDE_EFFECTS or name.split(".")[-1] in READERS:
                return name
    return ""


def test_importing_has_no_side_effects() -> None:
    problems = []
    for source in sources():
        for node in source.tree.body:
            docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            if docstring or _main_guard(node):
                continue
            location = f"{source.path}:{node.lineno}"
            if not isinstance(node, STATEMENTS):
                problems.append(f"{location}: {type(node).__name__} at module level")
            elif isinstance(node, (ast.Assign, ast.AnnAssign)) and (call := _side_effect(node)):
                problems.append(f"{location}: {call} at import")
    report(problems)


_IMPORT_ALL = """
import importlib, sys, threading
for name in sys.argv[2:]:
    importlib.import_module(name)
loaded = sorted(set(sys.argv[1].split(",")) & set(sys.modules))
assert not loaded, f"importing everything loads {loaded}"
assert threading.active_count() == 1, threading.enumerate()
"""


def test_all_modules_can_be_imported_without_heavy_packages() -> None:
    modules = [
        s.module
        for s in sources()
        if s.package in ("engine", "exporters") and not s.path.endswith("__main__.py")
    ]
    # including soxr and soundfile, which are required only when audio is resampled or read
    result = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL, ",".join(HEAVY), *modules],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""


def test_files_are_short() -> None:
    lengths = {s.path: len(s.text.splitlines()) for s in sources()}
    report([f"{path}: {n} lines" for path, n in lengths.items() if n >= MAX_LINES])


def test_functions_are_short() -> None:
    problems = []
    for source in sources():
        for node in ast.walk(source.tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    problems.append(f"{source.path}:{node.lineno}: {node.name} has {lines} lines")
    report(problems)


def test_every_module_has_a_docstring() -> None:
    report([s.path for s in sources() if s.text.strip() and not ast.get_docstring(s.tree)])
