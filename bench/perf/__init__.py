"""Speed, memory and endurance of what is shipped."""
