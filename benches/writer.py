"""Writes a row to an SQLite database every 2 ms until it is killed."""
import sqlite3
import sys
import time

database = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
while True:
    database.execute("INSERT INTO t (body) VALUES (?)", (b"written meanwhile",))
    time.sleep(0.002)
