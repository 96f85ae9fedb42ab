"""What a page that is looked at costs the server."""
