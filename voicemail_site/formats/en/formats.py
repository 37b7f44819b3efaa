"""Dates and times that read the same everywhere, and fit into a column."""

DATE_FORMAT = "Y-m-d"
DATETIME_FORMAT = "Y-m-d H:i"
