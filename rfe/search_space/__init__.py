"""Search spaces: read, checked, resolved for the data's encoders, and made into effective configurations."""

from rfe.search_space.dimensions import ARM, Dimension, ResolvedSpace
from rfe.search_space.effective import effective_config, find_point, normalize
from rfe.search_space.grid import grid_points
from rfe.search_space.load import load_space
from rfe.search_space.resolve import alike_values, resolve, sample_params, space_size
from rfe.search_space.schema import SearchSpace

__all__ = [
    "ARM",
    "Dimension",
    "ResolvedSpace",
    "SearchSpace",
    "alike_values",
    "effective_config",
    "find_point",
    "grid_points",
    "load_space",
    "normalize",
    "resolve",
    "sample_params",
    "space_size",
]
