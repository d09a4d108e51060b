"""What a container is kept from, measured from its inside on our engine and on dockerd."""
