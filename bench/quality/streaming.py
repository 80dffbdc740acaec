"""Comparison of bundles live at several hops on held-out takes.

Shows the effect of training for streaming.
Renders the test takes of a corpus through the live stream, without words, for each bundle with its
own seed and each hop, and tabulates metrics of motion, seams and look-ahead. Command:
`python -m bench.quality.streaming --models A B --corpus DIR [--fgd-weights FILE]`.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from bench.metrics.gesture_features import OUR_FEATURES, GestureEncoder, load_encoder
from bench.metrics.gestures import spoken_frames
from bench.metrics.onsets import onset_times
from bench.quality.lookahead import lookahead_report
from bench.quality.quality import Numbers, QualitySettings, Report, evaluate
from bench.quality.takes import TakePair
from engine.bundle.io import Bundle, load_bundle
from engine.errors import ConfigError
from engine.generate.schedule import Schedule
from engine.kernels.from_bundle import pose_decoder
from engine.motion.pose import Motion, concatenate
from engine.motion.skeleton import BodyPart
from engine.stream.stream import GestureStream
from training.data.takes import TakeFile, read_take
from training.sources.resample import shortened
from training.vq.evaluate import decode, encode

_EDGE_S = 20.0
_BODY = [part for part in BodyPart if part is not BodyPart.FACE]
_COLUMNS = (
    ("fgd", "FGD", 3),
    ("bc_equation_13", "BC eq. 13", 3),
    ("bc_code_without_slip", "BC code", 3),
    ("wrist_speed_m_s", "wrists m/s", 3),
    ("jerk_m_s3", "jerk m/s3", 1),
    ("seam_jump_m_s", "seam m/s", 4),
    ("seam_ratio", "seam ratio", 2),
    ("edge_latents", "edge latents", 3),
    ("edge_codes", "edge codes", 3),
)


@dataclass(frozen=True)
class StreamingResult:
    """One row of the table.

    Attributes:
        name: name of the bundle, or of its reference (hop 0).
        hop: frames per hop.
        seed: seed frames.
        numbers: those of `bench.quality.quality`; edge_latents, edge_codes: of the body, see
            `bench.quality.lookahead`.

    """

    name: str
    hop: int
    seed: int
    numbers: Numbers


def held_out(corpus: Path, seconds: float) -> list[tuple[str, TakeFile]]:
    """Test takes with speech, at least `seconds` of them if the corpus has as many.

    ConfigError without any.
    """
    takes: list[tuple[str, TakeFile]] = []
    for path in sorted(corpus.glob("test_*.npz")):
        if sum(len(take.motion) / take.clock.frame_rate for _, take in takes) >= seconds:
            break
        take = read_take(path)
        if take.words and len(take.sound):
            takes.append((path.stem, take))
    if not takes:
        raise ConfigError(f"expected takes test_*.npz with speech in {corpus}, found none")
    return takes


def rendered(bundle: Bundle, schedule: Schedule, take: TakeFile, seed: int) -> Motion:
    """Live motion of the bundle for the take's audio."""
    stream = GestureStream(bundle, schedule=schedule, seed=seed)
    stream.feed_audio(take.sound)
    return Motion(stream.format, concatenate([*stream.drain(), *stream.flush()]))


def pair(name: str, made: Motion, take: TakeFile) -> TakePair:
    """Generated motion with the take's own."""
    count = min(len(made), len(take.motion))
    return TakePair(
        name,
        shortened(made, count),
        shortened(take.motion, count),
        onset_times(take.sound, count, take.clock),
        spoken_frames(take.words, count, take.clock),
    )


def measured(pairs: Sequence[TakePair], hop: int, encoder: GestureEncoder | None) -> Report:
    """All quality metrics, with seams between hops."""
    return evaluate(pairs, QualitySettings(encoder=encoder, seams=(hop, hop) if hop else None))


def truth_rows(
    bundle: Bundle, takes: Sequence[tuple[str, TakeFile]], encoder: GestureEncoder | None
) -> list[StreamingResult]:
    """Recorded motion, and if the bundle has encoders, its reconstruction from codes."""
    own = measured([pair(name, take.motion, take) for name, take in takes], 0, encoder)
    halves = {"fgd": own.both["fgd_between_halves_of_gt"]}
    rows = [StreamingResult("truth (FGD: between its halves)", 0, 0, own.pred | halves)]
    if bundle.config.include_encoders:
        decoder, parts = pose_decoder(bundle), dict(bundle.parts)
        kept = [(name, decode(decoder, encode(parts, t.motion), t.motion), t) for name, t in takes]
        through = measured([pair(*each) for each in kept], 0, encoder)
        rows.append(
            StreamingResult(
                "truth through the codes", 0, 0, through.pred | {"fgd": through.both["fgd"]}
            )
        )
    return rows


def lookahead_numbers(bundle: Bundle, take: TakeFile, hop: int) -> Numbers:
    """Distance of the newest latents and codes of the body from those of a known future."""
    report = lookahead_report(bundle, take.sound[: int(_EDGE_S * take.clock.sample_rate)], hop)
    latents, codes = (
        float(np.mean([found[part] for part in _BODY]))
        for found in (report.latents, report.codes_changed)
    )
    return {"edge_latents": latents, "edge_codes": codes}


def live_row(
    bundle: Bundle, takes: Sequence[tuple[str, TakeFile]], hop: int, encoder: GestureEncoder | None
) -> StreamingResult:
    """A bundle live at a hop, with its own number of seed frames if it fits."""
    schedule = bundle.config.schedule.with_hop(hop, 0)
    made = [
        (name, rendered(bundle, schedule, take, number), take)
        for number, (name, take) in enumerate(takes)
    ]
    report = measured([pair(*each) for each in made], hop, encoder)
    numbers = (
        report.pred | {"fgd": report.both["fgd"]} | lookahead_numbers(bundle, takes[0][1], hop)
    )
    return StreamingResult(bundle.config.name, hop, schedule.seed, numbers)


def table(rows: Sequence[StreamingResult]) -> str:
    """Table in Markdown; "-" for missing numbers, such as seams at hop 1."""
    titles = ["bundle", "hop", "seed", *(title for _, title, _ in _COLUMNS)]
    lines = [f"| {' | '.join(titles)} |", f"|{'---|' * len(titles)}"]
    for row in rows:
        cells = [row.name, *(str(n) if n else "-" for n in (row.hop, row.seed))]
        for name, _, digits in _COLUMNS:
            value = row.numbers.get(name)
            cells.append("-" if value is None else f"{value:.{digits}f}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    """Evaluate, print the table and, last, one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=Path, nargs="+", required=True, metavar="DIR")
    parser.add_argument("--corpus", type=Path, required=True, metavar="DIR")
    parser.add_argument("--hop", type=int, nargs="+", default=[1, 2, 4, 8], metavar="N")
    parser.add_argument("--seconds", type=float, default=240.0, metavar="S")
    parser.add_argument(
        "--fgd-weights", type=Path, metavar="FILE.safetensors", default=OUR_FEATURES
    )
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    encoder, _ = load_encoder(options.fgd_weights)
    takes = held_out(options.corpus, options.seconds)
    bundles = [load_bundle(folder) for folder in options.models]
    rows = truth_rows(bundles[0], takes, encoder)
    for bundle in bundles:
        for hop in options.hop:
            rows.append(live_row(bundle, takes, hop, encoder))
            print(f"{bundle.config.name} at hop {hop} measured", flush=True)
    print(table(rows))
    print(json.dumps([asdict(row) for row in rows]))


if __name__ == "__main__":
    main()
