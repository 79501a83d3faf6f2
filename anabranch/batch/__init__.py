"""Asking models much at once: jobs whose replies are kept, the ways to a model, and batches by way of a file."""
