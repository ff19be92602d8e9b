"""Stands in for Nova where a client is to rebuild its exceptions."""
