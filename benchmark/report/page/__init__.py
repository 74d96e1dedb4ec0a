"""The report as one HTML file: nothing is fetched, nothing from a record can become markup or script."""

from benchmark.report.page.picture import Picture, linked, picture
from benchmark.report.page.render import page_html, words
from benchmark.report.page.view import unrecorded

__all__ = ["Picture", "linked", "page_html", "picture", "unrecorded", "words"]
