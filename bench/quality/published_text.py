"""Reference implementation of 2024 (text and audio), run from its own sources on a CPU.

Its sources were removed from the reference repository in 2025; they come from the checkout or its
history. Imported libraries that are not installed are replaced by stubs: rendering and logging need
them, inference does not.
"""

import ast
import importlib.util
import pickle
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Final
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from bench.export.random_checkpoints import PARTS, TEXT_FILES, Sizes
from engine.errors import ConfigError

FOLDER: Final = "scripts/EMAGE_2024"
_SEED: Final = 4
_JOINTS: Final = 55
_CHOICES: Final = {"cf": 0, "cu": 1, "ch": 1, "cl": 1}  # from the reference configuration


def text_program(checkout: Path, scratch: Path) -> Path:
    """Folder of the program of 2024 in the checkout, or extracted from its history to `scratch`.

    ConfigError if neither has it.
    """
    if (checkout / FOLDER).is_dir():
        return checkout / FOLDER
    removed = _git(checkout, "log", "-1", "--format=%H", "--diff-filter=D", "--", FOLDER)
    commit = removed.decode().strip()
    if not commit:
        raise ConfigError(
            f"{checkout} has no {FOLDER}, nor does its history; clone the published repository "
            "with all of its history"
        )
    names = _git(checkout, "ls-tree", "-r", "--name-only", f"{commit}^", "--", FOLDER).decode()
    for name in names.splitlines():
        if name.endswith(".py"):
            target = scratch / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_git(checkout, "show", f"{commit}^:{name}"))
    return scratch / FOLDER


def _git(checkout: Path, *arguments: str) -> bytes:
    command = ["git", "-C", str(checkout), *arguments]
    try:
        return subprocess.run(command, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"") or str(error).encode()
        raise ConfigError(
            f"{checkout} is not a git checkout that can be read ({said.decode().strip()}); clone "
            "the published repository"
        ) from error


# -- importing -----------------------------------------------------------------------------------


class _Null:
    """Class that accepts any arguments and does nothing."""

    def __init__(self, *arguments: object, **named: object) -> None:
        pass


class _StubModule(ModuleType):
    """Stub of a missing library; all of its attributes are `_Null`."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.__path__: list[str] = []

    def __getattr__(self, name: str) -> type[_Null]:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Null


class StubFinder(MetaPathFinder, Loader):
    """Import hook: stubs for the top-level names `missing` and everything below them."""

    def __init__(self, missing: set[str]) -> None:
        self._missing = missing

    def find_spec(self, fullname: str, path: object, target: object = None) -> ModuleSpec | None:
        """Spec of a stub, or None for other names."""
        if fullname.split(".")[0] not in self._missing:
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """A stub."""
        return _StubModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Do nothing."""


def missing_libraries(folder: Path) -> set[str]:
    """Libraries that the sources in `folder` import and that are not installed."""
    wanted: set[str] = set()
    for path in folder.rglob("*.py"):
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                wanted |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                wanted.add(node.module.split(".")[0])
    return {name for name in wanted - _own(folder) if not _installed(name)}


def _own(folder: Path) -> set[str]:
    return {path.stem for path in folder.iterdir()}


def _installed(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return name in sys.modules


@contextmanager
def program_modules(folder: Path) -> Iterator[None]:
    """Context manager: imports prefer `folder`, and its modules are unloaded at the end.

    Both reference implementations have top-level packages of the same names.
    """
    finder, board = StubFinder(missing_libraries(folder)), "torch.utils.tensorboard"
    own = _own(folder)
    kept = {n: sys.modules.pop(n) for n in list(sys.modules) if n.split(".")[0] in own | {board}}
    stood = {n: sys.modules[n] for n in [board] if n in sys.modules}
    sys.modules[board] = _StubModule(board)
    sys.path.insert(0, str(folder))
    sys.meta_path.append(finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        sys.path.remove(str(folder))
        del sys.modules[board]
        for name in [n for n in sys.modules if n.split(".")[0] in own]:
            del sys.modules[name]
        for name in [n for n, m in sys.modules.items() if isinstance(m, _StubModule)]:
            del sys.modules[name]
        sys.modules.update(kept | stood)


# -- running -------------------------------------------------------------------------------------


class ReferenceText:
    """The program of 2024 with a checkpoint of `write_random_text_layout`.

    Raises ConfigError if it does not start.
    """

    def __init__(self, program: Path, weights: Path, sizes: Sizes, scratch: Path) -> None:
        with program_modules(program):
            try:
                demo = import_module("test_demo")
                network = import_module("models.emage").MAGE_Transformer
                autoencoders = import_module("models.motion_representation")
            except Exception as error:  # third-party code: any exception
                raise ConfigError(
                    f"the published program in {program} does not start: {error!r}"
                ) from error
            self._trainer = self._built(demo.BaseTrainer, network, autoencoders, sizes, scratch)
        trainer = self._trainer
        _fill(trainer.model, weights / "emage_audio_text.bin")
        for part in PARTS:
            _fill(getattr(trainer, f"vq_model_{part}"), weights / TEXT_FILES[part])
        _fill(trainer.global_motion, weights / TEXT_FILES["global"])

    def _built(
        self, trainer_class: Any, network: Any, autoencoders: Any, sizes: Sizes, scratch: Path
    ) -> Any:
        """Trainer as after its constructor for inference, without files and devices."""
        args = _arguments(sizes, _write_table(scratch, 4 + len(sizes.words)))
        trainer = object.__new__(trainer_class)
        trainer.args, trainer.joints, trainer.rank = args, _JOINTS, "cpu"
        trainer.model = network(args).eval()
        for part, (channels, layers) in PARTS.items():
            args.vae_test_dim, args.vae_layer = channels, layers
            setattr(trainer, f"vq_model_{part}", autoencoders.VQVAEConvZero(args).eval())
        args.vae_test_dim, args.vae_layer = 61, 4
        trainer.global_motion = autoencoders.VAEConvZero(args).eval()
        for part, joints in _part_joints().items():
            mask = np.zeros(3 * _JOINTS)
            for joint in joints:
                mask[3 * joint : 3 * joint + 3] = 1
            setattr(trainer, f"joint_mask_{part}", mask)
        trainer.log_softmax = torch.nn.LogSoftmax(dim=2)
        return trainer

    @torch.no_grad()
    def file(
        self, entries: np.ndarray, words: np.ndarray, speaker: int
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Output for a file of `len(words)` frames, and its codes `[4, T]`; starts at rest.

        entries: amplitude and onsets `[S, 2]`; words: a word index per frame.
        """
        frames = len(words)
        loaded = {
            "tar_pose": torch.zeros(1, frames, 3 * _JOINTS),
            "tar_beta": torch.zeros(1, frames, 300),
            "tar_trans": torch.zeros(1, frames, 3),
            "tar_exps": torch.zeros(1, frames, 100),
            "tar_contact": torch.zeros(1, frames, 4),
            "in_word": torch.from_numpy(words)[None],
            "in_audio": torch.from_numpy(entries)[None],
            "tar_id": torch.full((1, frames, 1), speaker),
        }
        with _recorded_codes(self._trainer) as codes, _without_cuda():
            out = self._trainer._g_test(loaded)
        return out, codes()


def _arguments(sizes: Sizes, data: Path) -> SimpleNamespace:
    return SimpleNamespace(
        data_path=f"{data}/",
        t_fix_pre=False,
        audio_f=sizes.audio_f,
        motion_f=sizes.motion_f,
        hidden_size=sizes.hidden,
        vae_codebook_size=sizes.codebook,
        vae_length=sizes.codebook,
        vae_quantizer_lambda=1.0,
        vae_layer=2,
        vae_test_dim=106,
        vae_grow=[1, 1, 2, 1],
        variational=False,
        pose_length=sizes.window,
        pre_frames=_SEED,
        pose_dims=330,
        pose_fps=30,
        **_CHOICES,
    )


def _write_table(scratch: Path, words: int) -> Path:
    """Write a pickled vocabulary for the constructor; the checkpoint replaces its vectors.

    In double precision: in float32 both word tables would share the array's memory.
    """
    folder = scratch / "weights"
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = SimpleNamespace(word_embedding_weights=np.zeros((words, 300)))
    (folder / "vocab.pkl").write_bytes(pickle.dumps(vocabulary))
    return scratch


def _part_joints() -> dict[str, Sequence[int]]:
    return {
        "upper": (3, 6, 9, *range(12, 22)),
        "hands": range(25, 55),
        "lower": (0, 1, 2, 4, 5, 7, 8, 10, 11),
    }


def _fill(module: torch.nn.Module, path: Path) -> None:
    state = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
    module.load_state_dict({name.removeprefix("module."): t for name, t in state.items()})


@contextmanager
def _recorded_codes(trainer: Any) -> Iterator[Any]:
    """Yield a function that returns the codes of a rendered file, in the order of BodyPart."""
    faces: list[Tensor] = []
    last: dict[str, Tensor] = {}
    hooks = [
        trainer.vq_model_face.quantizer.register_forward_hook(
            lambda module, given, out: faces.append(out[2])
        )
    ]
    for part in ("upper", "hands", "lower"):
        model = getattr(trainer, f"vq_model_{part}")
        model.decode = _recording(model.decode, last, part)

    def codes() -> Tensor:
        first, *later = faces
        face = torch.cat([first, *(window[_SEED:] for window in later)])
        return torch.stack([face, *(last[part][0] for part in ("upper", "hands", "lower"))])

    try:
        yield codes
    finally:
        for hook in hooks:
            hook.remove()
        for part in ("upper", "hands", "lower"):
            del getattr(trainer, f"vq_model_{part}").decode


def _recording(decode: Any, last: dict[str, Tensor], part: str) -> Any:
    def recorded(index: Tensor) -> Any:
        last[part] = index
        return decode(index)

    return recorded


@contextmanager
def _without_cuda() -> Iterator[None]:
    """Make `Tensor.cuda` a no-op: the program moves its tensors to a GPU unconditionally."""
    with patch.object(torch.Tensor, "cuda", lambda self, *given, **named: self):
        yield
