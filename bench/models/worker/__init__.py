"""Adapters in a process and a Python environment of their own."""
