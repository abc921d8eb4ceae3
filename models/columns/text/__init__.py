"""Texts: their words, pairs of words and pieces of words, whatever the language and its writing."""
