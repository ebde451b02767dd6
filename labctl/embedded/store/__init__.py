"""Objects, resourceVersions and watch history on SQLite."""
