"""Damaged frames break nothing; `tests/hl7v2/fuzz.py` damages a million."""

import random

import pytest

from tests.hl7v2 import fuzz
from tests.hl7v2.messages import ORDER


def test_damaged_frames_break_nothing_and_are_answered() -> None:
    counts = fuzz.run(3000, 7, fuzz.SEEDS)
    assert counts["answers"] > 1500
    assert counts["CutOff"] > 50
    assert counts["Junk"] > 50


def test_the_fuzzer_names_the_frame_that_breaks(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: bytes) -> list[bytes]:
        raise KeyError("x")

    monkeypatch.setattr(fuzz, "answers", broken)
    with pytest.raises(RuntimeError, match="frame 0 of seed 3"):
        fuzz.run(10, 3, [ORDER.encode()])


def test_damage_is_the_same_for_the_same_seed() -> None:
    first, second = (fuzz.damaged(ORDER.encode(), random.Random(5)) for _ in range(2))
    assert first == second
