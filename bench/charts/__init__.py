"""Charts of a summary, as PNG and SVG. The only package that imports matplotlib.

Colours are those of Okabe and Ito, which the colour-blind can tell apart; hatches and markers say
the same in black and white. Skipped and failed cells are written out, never drawn as zero. The same
summary gives the same SVG, byte for byte.
"""

from __future__ import annotations

from bench.charts.draw import Chart, draw

__all__ = ["Chart", "draw"]
