"""Translation between the engine's records and the API's JSON; nothing here acts."""
