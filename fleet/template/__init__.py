"""Imports the app once, and forks dispatchers from that warm memory."""
