#!/usr/bin/env python3
"""Reads a folder of event files with the tensorboard package; prints `tag <tab> step <tab> value` a line, tags sorted.

Usage: tensorboard_read.py FOLDER
"""
import sys

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util


def main():
    events = EventAccumulator(sys.argv[1], size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    tags = events.Tags()
    for tag in sorted(tags["scalars"]):
        for event in events.Scalars(tag):
            print(f"{tag}\t{event.step}\t{event.value!r}")
    for tag in sorted(tags["tensors"]):  # newer readers turn simple values into tensors
        for event in events.Tensors(tag):
            print(f"{tag}\t{event.step}\t{tensor_util.make_ndarray(event.tensor_proto).item()!r}")


if __name__ == "__main__":
    main()
