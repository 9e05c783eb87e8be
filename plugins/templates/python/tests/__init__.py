"""Tests of the steps: `python3 -m unittest`."""
