"""What a notebook calls: `rfe.load_data`, `rfe.fit`, `rfe.search`, `rfe.ablate`, `rfe.ensemble`.

Thin: `rfe.api` does the work, as for the command line; here its results become objects that a notebook shows as
tables and that give pandas tables, and progress is drawn below the cell.
"""

import logging
import warnings

from rfe.notebook.ablations import Ablation, ablate
from rfe.notebook.annotating import list_studies
from rfe.notebook.answers import predict
from rfe.notebook.data import Data, load_data
from rfe.notebook.ensembles import Ensemble, ensemble
from rfe.notebook.studies import Study, fit, open_study, search

__all__ = [
    "Ablation",
    "Data",
    "Ensemble",
    "Study",
    "ablate",
    "ensemble",
    "fit",
    "list_studies",
    "load_data",
    "open_study",
    "predict",
    "search",
]

# Ray and tqdm say on import that ipywidgets are missing, for progress bars that are not shown: rfe needs none.
logging.getLogger("ray.widgets").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", message="IProgress not found")
