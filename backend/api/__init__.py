# SPDX-License-Identifier: Apache-2.0
"""The HTTP interface: one router for each resource. FastAPI and pydantic are imported here and in ``app``."""
