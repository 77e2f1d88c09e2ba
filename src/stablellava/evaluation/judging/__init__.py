"""Judges: chat models that grade answers, a server on this machine as good as any other.

A call that fails, and a reply that holds no grade, are told as such and never become a number.
"""
