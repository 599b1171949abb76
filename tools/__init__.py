"""Scripts that made the embedded data, once, and the one that makes the site of the pages."""
