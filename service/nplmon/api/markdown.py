"""Markdown that people wrote, made into HTML that is safe in a page."""

from __future__ import annotations

import re
from functools import cache
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.renderer import RendererHTML
    from markdown_it.token import Token

_ALLOWED = re.compile(r"(https?://|mailto:|[^:]*([/?#]|$))", re.IGNORECASE)
"""http, https, mailto, or no scheme: a colon stands after the first /, ? or #, if anywhere."""


def html_of(markdown: str) -> str:
    r"""Render markdown: HTML in it becomes text, links lead to http, https, mailto or stay here.

    A picture becomes a link to it: a page shows nothing that another machine sends.

    Examples
    --------
    >>> html_of("Call **now**, see [the wiki](https://wiki.example).")
    '<p>Call <strong>now</strong>, see <a href="https://wiki.example" rel="noreferrer">the wiki</a>.</p>\n'
    >>> html_of("<b>x</b> [y](javascript:alert(1))")
    '<p>&lt;b&gt;x&lt;/b&gt; [y](javascript:alert(1))</p>\n'
    """
    html: str = _renderer().render(markdown)
    return html


def title_of(markdown: str) -> str | None:
    """Give the text of the first heading.

    Examples
    --------
    >>> title_of("# Chunks *wait*")
    'Chunks wait'
    """
    tokens = _renderer().parse(markdown)
    for before, token in pairwise(tokens):
        if before.type == "heading_open":
            return "".join(part.content for part in token.children or ())
    return None


def is_allowed(address: str) -> bool:
    """Tell whether a link may lead there.

    Examples
    --------
    >>> [is_allowed(one) for one in ("https://a.example", "/system", "#top", "a:b", "data:text/html,x")]
    [True, True, True, False, False]
    """
    return _ALLOWED.match(address.strip()) is not None


class _Markdown(MarkdownIt):
    """markdown-it with our idea of where a link may lead."""

    def validateLink(self, url: str) -> bool:  # noqa: N802 (its name)
        return is_allowed(url)


@cache
def _renderer() -> MarkdownIt:
    renderer = _Markdown("commonmark", {"html": False}).enable(["table", "strikethrough"])
    renderer.add_render_rule("image", _image)
    renderer.add_render_rule("link_open", _link)
    for cell in ("th_open", "td_open"):
        renderer.add_render_rule(cell, _cell)
    return renderer


def _image(_: RendererHTML, tokens: Sequence[Token], place: int, *__: Any) -> str:  # noqa: ANN401 (options and environment, unused)
    token = tokens[place]
    address, text = str(token.attrs["src"]), token.content or str(token.attrs["src"])
    return f'<a href="{escape(address)}" rel="noreferrer">{escape(text)}</a>'


def _link(renderer: RendererHTML, tokens: Sequence[Token], place: int, options: Any, _: Any) -> str:  # noqa: ANN401 (its own types, passed on)
    tokens[place].attrSet("rel", "noreferrer")
    return str(renderer.renderToken(tokens, place, options, {}))


def _cell(renderer: RendererHTML, tokens: Sequence[Token], place: int, options: Any, _: Any) -> str:  # noqa: ANN401 (its own types, passed on)
    tokens[place].attrs.clear()  # an alignment is an inline style, which the page's policy forbids
    return str(renderer.renderToken(tokens, place, options, {}))
