"""Fixtures of the gesture training's tests."""

from tests.support.takes import parts, windows

__all__ = ["parts", "windows"]
