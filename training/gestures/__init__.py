"""The gesture transformer: what it is shown, what it is to find, and its stage."""
