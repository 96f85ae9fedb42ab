# SPDX-License-Identifier: Apache-2.0
"""All VMs at a glance."""

from pydantic import BaseModel

from backend.api.schemas.outstanding import StalledNow
from backend.api.schemas.series import Rates
from backend.api.schemas.server import Status
from backend.api.schemas.vms import VmPage


class Overview(BaseModel):
    """Parts of one moment: of no host is a batch in one of them that is not in the others."""

    vms: VmPage
    rates: Rates
    status: Status
    stalled: StalledNow
