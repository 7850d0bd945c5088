"""The preference loop, measured on simulated raters: one command a table, resumable.

Gold is the noiseless utility of the rater whose noisy votes trained the model, on fresh tunes.
"""
