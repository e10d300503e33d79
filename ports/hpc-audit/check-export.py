"""Checks an export of the audit log: python3 check-export.py EXPORT VERIFIER_KEY

Needs Python 3.8 and `openssl` 3.0 or later, and knows the published formats alone. Take the key from the operator of the log,
not from the export.
"""
import base64, hashlib, json, os, subprocess, sys, tempfile


class Refused(Exception):
    pass


def need(condition, why):
    if not condition:
        raise Refused(why)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def decode(text):
    raw = base64.b64decode(text, validate=True)
    need(base64.b64encode(raw).decode() == text, "Base64 that is spelt in an odd way")
    return raw


def once(pairs):
    need(len(dict(pairs)) == len(pairs), "a field stands there twice")
    return dict(pairs)


def fits(key, message, signature):
    """Ed25519 (RFC 8032) by openssl, which takes the key as a SubjectPublicKeyInfo (RFC 8410)."""
    spki = bytes.fromhex("302a300506032b6570032100") + key
    with tempfile.TemporaryDirectory() as folder:
        paths = [os.path.join(folder, name) for name in ("key", "message", "signature")]
        for path, data in zip(paths, (spki, message, signature)):
            with open(path, "wb") as file:
                file.write(data)
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", paths[0]]
        command += ["-rawin", "-in", paths[1], "-sigfile", paths[2]]
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def root_of(leaf, index, size, proof):
    """Where an inclusion proof leads: RFC 9162, section 2.1.3.2."""
    at, last, root = index, size - 1, leaf
    for sibling in proof:
        need(last > 0, "a proof is too long")
        if at & 1 or at == last:
            root = sha256(b"\x01", sibling, root)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            root = sha256(b"\x01", root, sibling)
        at, last = at >> 1, last >> 1
    need(last == 0, "a proof is too short")
    return root


def check(export, verifier_key):
    with open(export, encoding="utf-8") as file:
        bundle = json.load(file, object_pairs_hook=once)
    need(bundle["format"] == "hpc-audit-bundle/v1", "not a bundle of version 1")
    need(bundle["profile"] == "rfc6962-sha256", "not a tree as in RFC 6962")

    # The key: name+id+Base64(type, key), type 1 for Ed25519; the id is a hash of the others (c2sp.org/signed-note).
    name, key_id, key = verifier_key.split("+", 2)
    key = decode(key)
    need(len(key) == 33 and key[0] == 1, "the verifier key is not of a log with Ed25519")
    need(sha256(name.encode(), b"\n", key)[:4].hex() == key_id, "the id in the verifier key does not fit")

    # The checkpoint: a text, an empty line, signature lines (c2sp.org/signed-note).
    text, lines = bundle["checkpoint"].rsplit("\n\n", 1)
    text += "\n"
    need(lines.endswith("\n"), "the checkpoint was cut")
    signed = False
    for line in lines[:-1].split("\n"):
        dash, signer, signature = line.split(" ")
        signature = decode(signature)
        if (dash, signer, signature[:4].hex()) == ("\u2014", name, key_id):
            need(fits(key[1:], text.encode(), signature[4:]), "the signature of the checkpoint does not fit")
            signed = True
    need(signed, "the log with this key did not sign the checkpoint")

    # Its text: the log's name, the number of entries, the root hash (c2sp.org/tlog-checkpoint).
    origin, size, root = text.split("\n")[:3]
    need(origin == name, "the checkpoint is of another log")
    need(size == str(int(size)), "the size is spelt in an odd way")
    size, root = int(size), decode(root)

    # What the export says it contains is there, in order, and nothing else.
    indices = [entry["index"] for entry in bundle["entries"]]
    selection = bundle["selection"]
    if "range" in selection:
        wanted = range(selection["range"]["start"], selection["range"]["end"])
        need(wanted.start <= wanted.stop <= size, "the range is not one of this log")
        need(len(indices) == len(wanted) and all(a == b for a, b in zip(indices, wanted)), "an entry is missing")
    else:
        need(indices == selection["indices"], "an entry is missing")
        need(indices == sorted(set(indices)), "the entries are not in order")

    # Each entry is in the tree, at its index.
    for entry in bundle["entries"]:
        index, proof = entry["index"], [decode(hash) for hash in entry["proof"]]
        need(type(index) is int and 0 <= index < size, f"entry {index} is not in a log of {size}")
        need(all(len(hash) == 32 for hash in proof), "a hash is not 32 bytes long")
        leaf = sha256(b"\x00", entry["entry"].encode())
        need(root_of(leaf, index, size, proof) == root, f"entry {index} is not in the log that was signed")
    return f"{len(indices)} entries of {name}, from a log of {size}: all were signed, none is missing"


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        print(check(sys.argv[1], sys.argv[2]))
    except (Refused, ValueError, KeyError, TypeError, OSError) as error:
        sys.exit(f"{sys.argv[1]} does not hold: {error}")
