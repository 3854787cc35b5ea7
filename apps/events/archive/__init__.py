"""Finished streams leave the database as files, and come back from them.

A file holds whole streams of one projection, one event a line, compressed; a manifest beside it says
what is in it and its SHA-256. `export.archive` deletes nothing that is not in a file which has reached
the disk and was read back; `restoring.restore` takes back nothing that is damaged.
"""
