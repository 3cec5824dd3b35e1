"""When and on which channel: journey documents, the tick that moves customers through them, the contact policy."""
