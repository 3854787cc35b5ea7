"""Settings by place: ``dev`` (a working machine), ``test`` (the test run), ``prod`` (a server)."""
