"""Runs a program with the distributions of one folder; run by another Python, never imported.

Arguments: the folder, the program, and the program's own arguments.
"""

import runpy
import site
import sys

if __name__ == "__main__":
    _, folder, program, *rest = sys.argv
    site.addsitedir(folder)
    sys.argv = [program, *rest]
    runpy.run_path(program, run_name="__main__")
