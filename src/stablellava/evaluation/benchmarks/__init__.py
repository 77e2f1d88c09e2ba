"""Public benchmarks and capability suites as tasks: one file each, read from plain local files.

A third party adds one with a module of its own that holds a ``base.Task`` and an entry point to it in the
group ``stablellava.tasks``, named as the task.
"""
