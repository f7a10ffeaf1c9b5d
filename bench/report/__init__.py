"""A stored run for people: tables for a terminal, a Markdown and an HTML page."""
