"""The HTTP interface: one router for each resource. FastAPI and pydantic are imported here and in ``app``."""
