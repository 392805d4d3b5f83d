"""The live page of a study: what its journal says so far, drawn by a page that refreshes itself."""
