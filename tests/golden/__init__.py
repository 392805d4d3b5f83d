"""A study, an ensemble and a bundle as each published version wrote them, in a folder named by the version.

Later versions must open them: a version's folder is never remade once it is published. The script that made it is
`tests/golden/make.py`, at that version.
"""
