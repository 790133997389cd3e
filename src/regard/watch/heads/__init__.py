"""Kinds of heads: where their weight goes, probes with made-up texts, and the table that holds both."""
