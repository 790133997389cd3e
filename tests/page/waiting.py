"""Waiting for what a page will show, asked from outside."""

import time


def wait_until(page, expression, arg=None, within=30.0):
    """Ask again until the expression holds: polls within the page would be refused by its content policy."""
    end = time.monotonic() + within
    while not page.evaluate(expression, arg):
        if time.monotonic() > end:
            raise TimeoutError(f"expected {expression} to hold within {within:g} s")
        page.wait_for_timeout(10)
