"""Docker's images, put together again from their layers' volumes."""
