"""Jobs and CronJobs. Source of the rules: `pkg/controller/job`, `pkg/controller/cronjob`, `ttlafterfinished`."""

from __future__ import annotations

from labctl.embedded.controllers.jobs.controller import JobController
from labctl.embedded.controllers.jobs.cron import CronJobController
from labctl.embedded.controllers.jobs.ttl import TTLAfterFinishedController

__all__ = ["CronJobController", "JobController", "TTLAfterFinishedController"]
