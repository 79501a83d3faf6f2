"""A2A: the planner as an agent that other agents ask."""
