"""How fast a served decomposer writes plans (`load`), and what a question over HTTP costs the app (`app_time`).

`runs/serving.sh` has the servers that docs/lab/notebook.md compares, and the commands that measure them.
"""
