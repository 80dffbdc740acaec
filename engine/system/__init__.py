"""The operating system: atomic files, the cache folder, threads, memory, privacy, the version."""
