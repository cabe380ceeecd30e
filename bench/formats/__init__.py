"""File formats, read and written; whatever is wrong with a file is a DataError that names it."""
