"""Motion for speech, made by rules: what is said becomes gestures, a body and a face."""
