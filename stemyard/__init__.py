"""What a person uses: the one-machine launcher, the demo and the HTTP client."""
