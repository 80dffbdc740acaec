"""The engine: speech in, poses out. Knows nothing of exporters, training or bench."""
