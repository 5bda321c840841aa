"""The places where audit lines can go besides the files; each fulfils `Deliver` of `gateway.stages.record.sink`."""
