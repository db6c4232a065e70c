"""The one-machine stack: PostgreSQL, Triton, gateway and orchestrator under one supervisor."""
