from pathlib import Path

from engine.kernels.graph import Settings
from tests.engine.kernels.graphs import small_graph


def test_files_are_named_by_shapes_and_marks(tmp_path: Path) -> None:
    graph = small_graph()
    assert graph.signature == "2x4-2"
    path = Settings(folder=tmp_path).kept(graph, "fp32", "v1")
    assert path == tmp_path / "sums_2x4-2_fp32_v1"
    assert Settings().kept(graph) is None


def test_what_was_kept_of_a_graph_is_forgotten_and_nothing_else(tmp_path: Path) -> None:
    settings, graph = Settings(folder=tmp_path), small_graph()
    assert not settings.forget(graph)
    assert not Settings().forget(graph)
    for name in ("sums_2x4-2_fp32.xml", "sums_2x4-3_fp32.xml", "auto_1.json"):
        (tmp_path / name).write_text("x")
    assert settings.forget(graph)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["auto_1.json", "sums_2x4-3_fp32.xml"]


def test_a_comparison_holds_for_these_files_on_this_machine(tmp_path: Path) -> None:
    graph, here = small_graph(), Settings(folder=tmp_path, machine="this one")
    path = here.kept(graph, "fp32.xml")
    assert path is not None
    here.prove(graph, "openvino")
    assert not here.proved(graph, "openvino")  # nothing is kept that could have matched
    path.write_text("converted")
    here.prove(graph, "openvino")
    assert here.proved(graph, "openvino")
    assert here.files(graph) == [path]
    assert not here.proved(graph, "openvino-bf16")
    assert not Settings(folder=tmp_path, machine="another").proved(graph, "openvino")
    assert not Settings(2, tmp_path, machine="this one").proved(graph, "openvino")
    path.write_text("changed since")
    assert not here.proved(graph, "openvino")


def test_a_damaged_or_missing_proof_is_none(tmp_path: Path) -> None:
    graph, here = small_graph(), Settings(folder=tmp_path, machine="this one")
    (tmp_path / "sums_2x4-2_fp32.xml").write_text("converted")
    here.prove(graph, "openvino")
    (proof,) = tmp_path.glob("*.proof.json")
    for damaged in (b"", b"{", b"\xff", b"3"):
        proof.write_bytes(damaged)
        assert not here.proved(graph, "openvino")
    assert here.forget(graph)
    assert not list(tmp_path.iterdir())


def test_without_a_machine_or_a_folder_nothing_is_remembered(tmp_path: Path) -> None:
    graph = small_graph()
    (tmp_path / "sums_2x4-2_fp32.xml").write_text("converted")
    for settings in (Settings(folder=tmp_path), Settings(machine="this one")):
        settings.prove(graph, "openvino")
        assert not settings.proved(graph, "openvino")
    assert len(list(tmp_path.iterdir())) == 1
