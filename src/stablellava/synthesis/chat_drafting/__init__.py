"""Drafts by a chat model: a prompt, then the dialogue that belongs to it.

Paper: 2308.10253v1, section 3 (one instruction per capability, keyword lists, worked examples, echoed prompts).
Departs: answers are JSON; the question that opens a dialogue is given, so only its answer is written; a prompt is
held to its keyword, a dialogue to its prompt, and both to the held-out split.
"""
