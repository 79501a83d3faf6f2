"""Distilling decomposers and small solvers: demonstrations, a teacher, prompts with tools, LoRA training, scores."""
