"""Values to text, JSON, JUnit, Markdown, HTML; the live view."""
