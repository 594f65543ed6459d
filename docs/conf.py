"""How Sphinx builds the documents: its settings -> HTML (docs/build.py, make docs)."""

from __future__ import annotations

from necomimi import __version__

project = "necomimi"
author = "The necomimi developers"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
root_doc = "index"
myst_heading_anchors = 3
html_theme = "furo"
html_title = "necomimi"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b8f80", "color-brand-content": "#0b8f80"},
    "dark_css_variables": {"color-brand-primary": "#2fc4ae", "color-brand-content": "#2fc4ae"},
}
html_static_path = ["style"]
html_css_files = ["pages.css"]
html_show_sphinx = html_show_copyright = html_show_sourcelink = html_copy_source = False
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the numpydoc sections say types, shapes and units
napoleon_use_rtype = False
suppress_warnings = ["myst.header"]
