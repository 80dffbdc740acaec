"""Speech for the composer: synthesisers, recorded readers, and their words, phones and times."""
