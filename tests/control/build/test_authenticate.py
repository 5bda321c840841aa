"""From routes.yaml to a stage that serves, and over a reload."""

import json
import time
from pathlib import Path

import pytest

from gateway.config import load
from gateway.config.schema import Config
from gateway.control.build.authenticate import build_authenticate, credential_sources
from gateway.control.feeds.feed import FeedError
from gateway.model.reason import Reason
from gateway.testing.ca import Authority
from gateway.testing.issuer import Issuer
from tests.stages.authenticate.asking import reason, request
