"""Ordinary questions about small sets of documents; `python -m benchmarks.questions --help`."""
