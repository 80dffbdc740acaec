"""tests/ mirrors the sources: engine/audio/voice_gate.py is tested by
tests/engine/audio/test_voice_gate.py.

A module may also be mirrored by a folder: tests/engine/audio/gate/test_*.py.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("engine", "exporters", "training", "bench")

# Modules whose errors another test or the type checker would find.
UNTESTED = {
    "engine/model/types.py": "a protocol and two tuples",
}

# Tests of a program, or of a folder without Python modules.
OTHER_SUBJECTS = {
    "tests/engine/test_public_names.py": "engine/__init__.py",
    "tests/engine/bundle/test_starter.py": "engine/bundle/starter",
    "tests/engine/bundle/checkpoints/test_rendering.py": "engine/bundle/checkpoints",
    "tests/exporters/clients/test_browser.py": "exporters/clients/browser",
    "tests/exporters/commands/test_mic.py": "exporters/commands/live.py",
}


def modules() -> list[Path]:
    found = [p.relative_to(ROOT) for package in PACKAGES for p in (ROOT / package).rglob("*.py")]
    return sorted(p for p in found if p.name not in ("__init__.py", "__main__.py"))


def mirror(module: Path) -> Path:
    return Path("tests") / module.parent / f"test_{module.name}"


def is_tested(module: Path) -> bool:
    folder = ROOT / "tests" / module.with_suffix("")
    return (ROOT / mirror(module)).is_file() or any(folder.glob("test_*.py"))


def test_every_module_has_tests() -> None:
    missing = [
        f"{module.as_posix()}: no {mirror(module).as_posix()}"
        for module in modules()
        if module.as_posix() not in UNTESTED and not is_tested(module)
    ]
    assert not missing, "\n" + "\n".join(missing)


def test_listed_exceptions_are_valid() -> None:
    for name in UNTESTED:
        assert (ROOT / name).is_file(), f"{name} does not exist: remove it from the list"
        assert not is_tested(Path(name)), f"{name} has tests: remove it from the list"
    for test, subject in OTHER_SUBJECTS.items():
        assert (ROOT / test).is_file(), f"{test} does not exist: remove it from the list"
        assert (ROOT / subject).exists(), f"{subject} does not exist: remove its test"


def test_every_test_has_a_module() -> None:
    orphans = []
    for package in PACKAGES:
        for path in sorted((ROOT / "tests" / package).rglob("test_*.py")):
            test = path.relative_to(ROOT)
            folder = test.parent.relative_to("tests")
            name = test.name.removeprefix("test_").replace("main.py", "__main__.py")
            subjects = (ROOT / folder / name, (ROOT / folder).with_suffix(".py"))
            if test.as_posix() not in OTHER_SUBJECTS and not any(s.is_file() for s in subjects):
                orphans.append(test.as_posix())
    assert not orphans, f"tests of modules that do not exist: {orphans}"


def test_test_folders_are_not_packages() -> None:
    """Files of the same name in two folders are imported by path (import mode importlib)."""
    assert not list((ROOT / "tests").rglob("__init__.py"))
