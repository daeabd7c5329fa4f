"""Speed against PyTorch: the same work by several sides, each in its own process.

work       the task, and what a side achieves
ours       this project's side
theirs     PyTorch's sides, eager and tuned
study      a list of short runs, here and with eager PyTorch
report     tables for terminals and for the documentation
"""
