"""Reads a checkpoint as trainer/checkpoint/FORMAT.md describes it, with nothing of swallowtail but that page."""
import hashlib
import json
import math
import pathlib
import subprocess

import numpy

BLOCK = 4 << 20
DTYPES = {"F32": numpy.dtype("<f4"), "I64": numpy.dtype("<i8")}
TABLE = []
for byte in range(256):
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    TABLE.append(byte)


def crc32c(data):
    remainder = 0xFFFFFFFF
    for byte in data:
        remainder = remainder >> 8 ^ TABLE[(remainder ^ byte) & 0xFF]
    return remainder ^ 0xFFFFFFFF


def content_of(folder, file):
    """All bytes of a file, uncompressed, every check sum checked."""
    assert "/" not in file["name"] and not file["name"].startswith("."), file["name"]
    data = (folder / file["name"]).read_bytes()
    assert len(data) == file["bytes"] and hashlib.sha256(data).hexdigest() == file["sha256"], file["name"]
    assert file["block_bytes"] == BLOCK
    packed = file.get("compression") == "zstd"
    total = file["content_bytes"] if packed else file["bytes"]
    count = math.ceil(total / BLOCK)
    sizes = file["stored_bytes"] if packed else [min(BLOCK, total - i * BLOCK) for i in range(count)]
    assert len(file["crc32c"]) == 8 * count == 8 * len(sizes)
    out, at = [], 0
    for block, size in enumerate(sizes):
        part = data[at:at + size]
        assert crc32c(part) == int(file["crc32c"][8 * block:8 * block + 8], 16), f"block {block} of {file['name']}"
        if packed:
            part = subprocess.run(["zstd", "-dcq"], input=part, stdout=subprocess.PIPE, check=True).stdout
        out.append(part)
        at += size
    return b"".join(out)


def row_at(position, rows, order):
    """The row numbers at these positions."""
    if order == "as_they_stand" or rows < 4:
        return position
    factor = int(rows * 0.6180339887498949)
    while math.gcd(factor, rows) != 1:
        factor += 1
    return position * pow(factor, -1, rows) % rows


class Checkpoint:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        text = (self.folder / "manifest.json").read_bytes()
        digest, name = (self.folder / "SHA256SUMS").read_text().splitlines()[0].split("  ")
        assert name == "manifest.json" and hashlib.sha256(text).hexdigest() == digest
        self.manifest = json.loads(text)
        assert self.manifest["format"] == 2
        self.contents = [content_of(self.folder, file) for file in self.manifest["files"]]
        self.base = None
        if "base" in self.manifest:
            base = self.folder.parent / f"step-{self.manifest['base']['step']}"
            assert hashlib.sha256((base / "manifest.json").read_bytes()).hexdigest() == self.manifest["base"]["manifest_sha256"]
            self.base = Checkpoint(base)

    def tensor(self, name):
        entry = self.manifest["tensors"][name]
        dtype, count = DTYPES[entry["dtype"]], math.prod(entry["shape"])
        return numpy.frombuffer(self.contents[entry["file"]], dtype, count, entry["offset"]).reshape(entry["shape"])

    def table(self, table, array):
        """A whole array of a table [rows, planes * dim], or [rows, 1] where planes is 0."""
        whole = self.base.table(table, array) if self.base else None
        for name, entry in self.manifest["tensors"].items():
            piece = entry.get("piece")
            if not piece or (piece["table"], piece["array"]) != (table, array):
                continue
            values, planes, dim = self.tensor(name), piece["planes"], piece["dim"]
            if whole is None:
                width = planes * dim if planes else 1
                whole = numpy.full((piece["table_rows"], width), -77, values.dtype)
            i = self.tensor(piece["rows_in"]) if "rows_in" in piece else numpy.arange(piece["rows"])
            rows = numpy.array([row_at(int(p), piece["table_rows"], piece["order"]) for p in piece["first_row"] + i], int)
            if planes == 0:
                whole[rows] = values
            for plane in range(planes):
                first, cols = plane * dim + piece["first_col"], piece["cols"]
                whole[rows, first:first + cols] = values[:, plane * cols:(plane + 1) * cols]
        return whole
