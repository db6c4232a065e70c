"""Kafka as the bus."""
