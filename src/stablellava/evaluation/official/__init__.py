"""Parsers and scorers of public benchmarks, after their official tools.

One module per benchmark. A parser takes what its official counterpart takes and returns what that returns;
where a harness has another rule that is in use, it stands beside the official one under its own name.
"""
