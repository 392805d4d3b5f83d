"""Ray Jobs: searches on a cluster that keep running when the terminal is closed.

```
description.py     a job's file, and what it comes to
typed_command.py   the rfe command in it, read before it is submitted
client.py          submit, follow, stop, look
```
"""
