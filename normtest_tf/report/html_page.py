"""A report as a self-contained page."""

from __future__ import annotations

import base64
import pathlib
import re

import markdown

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff;
       max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
img { max-width: 100%; height: auto; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.85rem; }
th, td { padding: 0.3rem 0.7rem; border-bottom: 1px solid #ddd; text-align: left;
         vertical-align: top; }
th { border-bottom: 2px solid #888; }
code { background: #f3f3f3; padding: 0 0.2em; }
"""


def to_html(text: str, folder: pathlib.Path) -> str:
    """Turns a report into a self-contained page.

    Args:
        text: Markdown. Its images name PNG files in `folder`; each has an SVG file
            of the same name next to it, which the page shows.
        folder: Where the images are.

    Returns:
        HTML that refers to no other file.
    """
    body = markdown.markdown(text, extensions=["tables", "fenced_code"])
    body = re.sub(
        r'src="([\w.-]+)\.png"',
        lambda match: f'src="{_data_uri(folder / f"{match[1]}.svg")}"',
        body,
    )
    body = body.replace("<table>", '<div class="scroll"><table>')
    body = body.replace("</table>", "</table></div>")
    title = text.partition("\n")[0].removeprefix("# ")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _data_uri(path: pathlib.Path) -> str:
    encoded = base64.b64encode(path.read_bytes()).decode("ascii")
    return f"data:image/svg+xml;base64,{encoded}"
