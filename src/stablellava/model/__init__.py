"""Towers, language models, and the LLaVA made of them.

Importing this package registers our tower with transformers' Auto classes.
"""

from stablellava.model import tower_efficientnet as tower_efficientnet
