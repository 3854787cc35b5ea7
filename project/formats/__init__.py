"""How Django writes times where nothing else is said: as everywhere else here, in UTC."""
