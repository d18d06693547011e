"""thinmeta under the names of thin-provisioning-tools, with their command lines and exit codes."""
