from pathlib import Path

from engine.kernels.graph import BuildOptions
from tests.support.graphs import small_graph


def test_file_names_contain_shapes_and_marks(tmp_path: Path) -> None:
    graph = small_graph()
    assert graph.signature == "2x4-2"
    path = BuildOptions(folder=tmp_path).cache_path(graph, "fp32", "v1")
    assert path == tmp_path / "sums_2x4-2_fp32_v1"
    assert BuildOptions().cache_path(graph) is None


def test_forget_deletes_only_files_of_the_graph(tmp_path: Path) -> None:
    options, graph = BuildOptions(folder=tmp_path), small_graph()
    assert not options.clear_cache(graph)
    assert not BuildOptions().clear_cache(graph)
    for name in ("sums_2x4-2_fp32.xml", "sums_2x4-3_fp32.xml", "auto_1.json"):
        (tmp_path / name).write_text("x")
    assert options.clear_cache(graph)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["auto_1.json", "sums_2x4-3_fp32.xml"]
