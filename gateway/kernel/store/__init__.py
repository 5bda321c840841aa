"""What workers and replicas have to agree on: buckets in this process, or in Redis.

The only door to Redis. A store that does not answer raises `StoreUnavailable` within its timeout; what that means is
the caller's to say. Nothing here knows what a bucket counts.
"""

from gateway.kernel.store.address import RedisAddress
from gateway.kernel.store.cluster import RedisCluster, open_store
from gateway.kernel.store.connection import Reply
from gateway.kernel.store.failure import StoreUnavailable
from gateway.kernel.store.memory import Buckets, Entry, Finder, MemoryStore
from gateway.kernel.store.redis import RedisStore
from gateway.kernel.store.script import Call, CallWithMore, Script, WholeCall

__all__ = [
    "Buckets",
    "Call",
    "CallWithMore",
    "Entry",
    "Finder",
    "MemoryStore",
    "RedisAddress",
    "RedisCluster",
    "RedisStore",
    "Reply",
    "Script",
    "StoreUnavailable",
    "WholeCall",
    "open_store",
]
