"""`python -m coverslip`."""

from coverslip.cli import main

main()
