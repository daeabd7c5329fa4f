"""Code that several tests share."""

import pathlib

ROOT = pathlib.Path(__file__).parent.parent.parent  # Of the checkout.
