"""Reports of backtests: a document of JSON types, the page that shows it, and the file that holds both."""
