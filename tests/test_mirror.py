"""tests/ mirrors the sources: engine/audio/voice_gate.py is tested by
tests/engine/audio/test_voice_gate.py.

A module may also be mirrored by a folder: tests/engine/audio/gate/test_*.py.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("engine", "exporters", "training", "bench")

# Nothing in them can be wrong that another test or a type checker would not find.
UNTESTED = {
    "engine/model/types.py": "a protocol and two tuples",
}

# Tests of a whole: they mirror a program or a folder that is not Python.
WHOLES = {
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


def test_every_module_has_its_tests() -> None:
    missing = [
        f"{module.as_posix()}: no {mirror(module).as_posix()}"
        for module in modules()
        if module.as_posix() not in UNTESTED and not is_tested(module)
    ]
    assert not missing, "\n" + "\n".join(missing)


def test_the_exceptions_exist_and_are_still_exceptions() -> None:
    for name in UNTESTED:
        assert (ROOT / name).is_file(), f"{name} is gone: take it off the list"
        assert not is_tested(Path(name)), f"{name} has tests now: take it off the list"
    for test, subject in WHOLES.items():
        assert (ROOT / test).is_file(), f"{test} is gone: take it off the list"
        assert (ROOT / subject).exists(), f"{subject} is gone: and its test?"


def test_every_test_has_its_module() -> None:
    orphans = []
    for package in PACKAGES:
        for path in sorted((ROOT / "tests" / package).rglob("test_*.py")):
            test = path.relative_to(ROOT)
            folder = test.parent.relative_to("tests")
            name = test.name.removeprefix("test_").replace("main.py", "__main__.py")
            subjects = (ROOT / folder / name, (ROOT / folder).with_suffix(".py"))
            if test.as_posix() not in WHOLES and not any(s.is_file() for s in subjects):
                orphans.append(test.as_posix())
    assert not orphans, f"tests of modules that do not exist: {orphans}"


def test_tests_are_no_packages() -> None:
    """Two tests of one name in two folders would otherwise need importing by path."""
    assert not list((ROOT / "tests").rglob("__init__.py"))
