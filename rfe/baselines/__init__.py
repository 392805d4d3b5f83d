"""What a search must beat: simple models and single encoders, selected and confirmed as a study's trials are.

```
table.py           the rows of `rfe baselines`
candidates.py      what is tried for each row
pools.py           the encoders of each row, and their best
```
"""
