"""Speed, memory and endurance benchmarks."""
