"""What is laid over poses as they go out, and no network sees: one file for each thing."""
