"""The models in their roles: decomposer, solver, joiner, gate; their prompts; the in-process model."""
