"""The command lines; the only code that may import all packages."""
