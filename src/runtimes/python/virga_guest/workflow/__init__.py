"""Workflows: what src/runtimes/node/workflow is for Node, with the same history and the same requests to the node.

serving.py wakes a run up · wake_up.py replays and decides · step.py runs one step · context.py is what handlers get, sync.py how
handlers without `async` wait · history.py and values.py: what is kept. Loaded when a workflow is woken up for the first time.
"""
