"""Ray Jobs: searches that go on on a cluster when the terminal is closed.

```
description.py     a job's file, and what it comes to
typed_command.py   the rfe command in it, read before it is submitted
client.py          submit, follow, stop, look
```
"""
