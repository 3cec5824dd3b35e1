"""The engine role: loads, refreshes, ticks, hands off, and answers the api's questions about the warehouse."""
