"""netbench itself as benchmarks of asv; `asv.conf.json` beside this folder finds them."""

import sys
from pathlib import Path

# asv imports this folder alone; what makes runs for it lies beside it.
sys.path.append(str(Path(__file__).parents[1]))
