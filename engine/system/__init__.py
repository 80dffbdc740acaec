"""The machine below: files that appear whole, the cache folder, threads, privacy, the version."""
