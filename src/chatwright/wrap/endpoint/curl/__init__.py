"""From a curl command to an endpoint file."""
