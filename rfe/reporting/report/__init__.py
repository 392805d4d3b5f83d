"""Reports: what studies, ablations and ensembles say, first as plain data, then as HTML, Markdown, LaTeX, pictures."""
