"""The master's network: looks the queue up, counts its messages, settles for dead dispatchers."""
