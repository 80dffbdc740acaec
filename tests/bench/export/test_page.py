from bench.export.export import step_graphs
from bench.export.page import description, page
from tests.support.tiny_bundle import tiny_bundle


def test_memory_is_as_long_as_the_engine_keeps_it() -> None:
    bundle = tiny_bundle()
    schedule = bundle.config.schedule
    graphs = step_graphs(bundle, schedule)
    told = description(bundle, schedule, graphs, 15, {"window": 1e-6})
    codes = told["files"]["decode.onnx"]["inputs"][0]["shape"][2]
    text = page(told)
    assert f"{codes - schedule.hop} frames of codes, begun with `rest_codes`; 16\n" in text
    assert "frames 6 to\n   21, where mask is 0" in text
    assert told["rest_codes"] == [1, 2, 3, 4]
    assert len(told["joints"]) == len(told["parents"]) == 55
    assert len(told["face_names"]) == 51
