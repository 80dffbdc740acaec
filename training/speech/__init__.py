"""Speech synthesis and alignment: audio with times of words and phones."""
