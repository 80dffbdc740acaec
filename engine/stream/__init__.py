"""Streams of one speaker or many: sound and words in, poses out. No threads, no clock."""
