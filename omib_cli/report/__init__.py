"""The report: figures, words and tables of what ``evaluation`` has measured; one HTML page, and pictures of grids."""
