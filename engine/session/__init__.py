"""Real time: capture, media clock, playout, live sessions of one stream or many."""
