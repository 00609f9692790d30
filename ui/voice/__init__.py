"""Talking to the page: a bar under the message box, and the scripts that run in the browser."""
