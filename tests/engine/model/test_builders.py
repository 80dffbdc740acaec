import torch

from engine.config.model import PartVaeConfig, RootModelConfig
from engine.config.presets import live_config, published_audio_config, published_text_config
from engine.model.builders import build_gesture_model, build_part_vae, build_root_model


def parameter_count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_live_model_is_small() -> None:
    count = parameter_count(build_gesture_model(live_config(70, 500)))
    assert 1_200_000 <= count <= 1_500_000


def test_the_published_audio_model_has_its_published_size() -> None:
    with torch.device("meta"):
        model = build_gesture_model(published_audio_config())
    # 138.9 M in the file, of which 11.8 M are unused templates
    assert round(parameter_count(model) / 1e6, 1) == 127.1


def test_the_padding_word_embedding_stays_zero() -> None:
    for model in (
        build_gesture_model(live_config(5, 9, width=16)).speech.table,
        build_gesture_model(published_text_config(9, width=16)).speech.face.content[0],
    ):
        assert not model.weight[0].any()
        model(torch.tensor([0, 1])).sum().backward()
        assert not model.weight.grad[0].any()
        assert model.weight.grad[1].all()


def test_part_models_have_the_published_channel_counts() -> None:
    for channels, layers in ((106, 2), (78, 2), (180, 2), (61, 4)):
        vae = build_part_vae(PartVaeConfig(channels, width=32, code_dim=32, layers=layers))
        assert vae(torch.zeros(1, 3, channels)).motion.shape == (1, 3, channels)
        assert len(vae.encoder.blocks) == len(vae.decoder.convs) == layers
    lower = build_root_model(RootModelConfig(61, out=61, width=32))
    assert lower(torch.zeros(1, 3, 61)).shape == (1, 3, 61)


def test_a_seed_determines_the_weights() -> None:
    states = []
    for _ in range(2):
        torch.manual_seed(3)
        states.append(build_gesture_model(live_config(5, 9, width=16)).state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
