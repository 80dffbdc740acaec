"""Recordings of other people's making: readers of their formats, and one retargeter for all."""
