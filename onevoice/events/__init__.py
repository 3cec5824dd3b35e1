"""What happens enters here: vocabulary, tracking API, inbox, quarantine, import, and the load into the warehouse."""
