"""Playing live: policies, decoding, the loop that presses keys, and takeover."""
