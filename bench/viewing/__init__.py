# SPDX-License-Identifier: Apache-2.0
"""What a page that is looked at costs the server."""
