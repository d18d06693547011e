"""Who a device id is: the names that Docker and LVM gave it."""
