"""One file per revision, named by its number. A revision that is released is never changed.

`OLDEST_COMPATIBLE` is the oldest revision whose code may write to the database from then on.
"""
