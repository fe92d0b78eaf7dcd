"""The report: a comparison and its gates as a verdict, as Markdown and as a page."""
