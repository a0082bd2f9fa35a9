#!/usr/bin/env python3
"""Draws loans.csv, the extract beside this script, from the cleaned LendingClub 2007-2011 file.

    python3 extract.py lendingclub_2007_2011.train.csv.gz > loans.csv

The input is named in README.md. A row is drawn by the SHA-256 hash of its number, so the extract does
not depend on a random generator: the ROWS rows with the smallest hashes, in the order of their hashes.
"""

import csv
import gzip
import hashlib
import sys

ROWS = 2000
SALT = "creditmesh extract 1"
COLUMNS = ["loan_amnt", "term_months", "int_rate_pct", "installment", "purpose", "bad"]


def rank(row):
    return hashlib.sha256(f"{SALT}:{row['row_id']}".encode()).hexdigest()


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with gzip.open(sys.argv[1], "rt", newline="", encoding="utf-8") as text:
        complete = [row for row in csv.DictReader(text) if all(row[name] for name in COLUMNS)]
    drawn = sorted(complete, key=rank)[:ROWS]
    out = csv.DictWriter(sys.stdout, COLUMNS, extrasaction="ignore", lineterminator="\n")
    out.writeheader()
    out.writerows(drawn)


if __name__ == "__main__":
    main()
