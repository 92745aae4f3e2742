"""Reads source code and text, and cuts them into documents."""
