"""Votes, ranking, reward model and retraining. Imports abc_tools and musicgen, never ui."""
