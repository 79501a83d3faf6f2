"""Fuzzing of all that reads what strangers wrote: plans, replies, expressions, documents, requests."""
