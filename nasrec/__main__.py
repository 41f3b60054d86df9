"""`python -m nasrec`: the command line, as `torchrun -m nasrec` starts it."""

from nasrec.cli import main

main()
