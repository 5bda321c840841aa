"""Benchmarks: the gateway and its peers doing the same job on the same core, in one run.

`python -m loadtest` measures, `python -m loadtest.peers` fetches the peers. Only loopback; everything started here
ends here; what counts is the CPU time that the kernel accounts to a gateway's processes, by the requests it answered.
"""
