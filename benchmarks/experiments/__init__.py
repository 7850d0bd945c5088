"""Experiments whose tables choose our numbers; each is one resumable command."""
