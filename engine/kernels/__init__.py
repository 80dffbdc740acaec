"""Kernels: stateless forward passes over one window, one file a backend."""
