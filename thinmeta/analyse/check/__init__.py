"""Does a pool's metadata keep its promises? All that breaks them, with what is lost by it."""
