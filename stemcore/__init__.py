"""What gateway and orchestrator share: the job model, messages, ports with their adapters."""
