from bench.export.export import step_graphs
from bench.export.page import description, page
from tests.support.tiny_bundle import tiny_bundle


def test_buffers_have_the_lengths_of_the_engine() -> None:
    bundle = tiny_bundle()
    schedule = bundle.config.schedule
    graphs = step_graphs(bundle, schedule)
    described = description(bundle, schedule, graphs, 15, {"window": 1e-6})
    codes = described["files"]["decode.onnx"]["inputs"][0]["shape"][2]
    text = page(described)
    assert f"{codes - schedule.hop} frames of codes, initialised with `rest_codes`;" in text
    assert "except frames 6 to 21, which" in text
    assert described["rest_codes"] == [1, 2, 3, 4]
    assert len(described["joints"]) == len(described["parents"]) == 55
    assert len(described["face_names"]) == 51
