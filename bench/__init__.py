"""netbench: which Docker network driver, and what does it cost me?"""

__version__ = "0.1.0"
