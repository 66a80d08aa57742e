"""The imperative shell: what waits, sends, retries and commits around the pure core."""
