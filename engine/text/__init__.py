"""Words in: timed words, transcripts that may be revised, and the files they come from."""
