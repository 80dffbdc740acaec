"""The networks. Plain numbers go in through `builders`; configurations never enter a module."""
