"""Plans alone, over tools that they were not written for: are the right tools called, in the right order?

Nothing is answered and no tool runs, so any catalogue of names and descriptions will do: `anabranch eval --task
toolplans`. What is measured of the product with it is in docs/toolplans.md.
"""
