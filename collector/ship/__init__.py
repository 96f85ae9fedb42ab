"""From the spool to the server, until each batch is acknowledged."""
