"""Corpus, tokenizer, model, training and sampling of folk tunes in ABC notation."""
