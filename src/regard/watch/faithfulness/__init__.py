"""Faithfulness: whether removing what an explanation highlights changes the answer more than removing at random."""
