"""The window loop: schedule, state, sampling, decoding, one step, the runner."""
