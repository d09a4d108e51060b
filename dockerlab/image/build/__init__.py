"""Reading Dockerfiles: lines, instructions as values, variables, ignored files. Nothing here acts.

Begin with `dockerfile`, which makes stages of instructions out of the bytes of a Dockerfile. What
an instruction does is `engine.buildsteps`.
"""
