"""The planner as a LangGraph state machine: state, nodes, the DAG scheduler."""
