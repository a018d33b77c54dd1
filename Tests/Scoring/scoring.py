"""What the scorers share: their arguments, and running a replay."""
import argparse
import json
import subprocess
import sys


def arguments(doc):
    """(options, command) of `SCORER DIR [-v] -- COMMAND [ARG ...]`."""
    parser = argparse.ArgumentParser(
        description=doc, usage="%(prog)s DIR [-v] -- COMMAND [ARG ...]",
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", metavar="DIR", help="folder with the labels and the traces")
    parser.add_argument("-v", "--verbose", action="store_true", help="list every wrong trace")
    split = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    options, command = parser.parse_args(sys.argv[1:split]), sys.argv[split + 1:]
    if not command:
        parser.error("no COMMAND after --")
    return options, command


def replay(command, path):
    """The findings of one trace; a command that does not keep the contract found nothing, and that is said."""
    result = subprocess.run([part.replace("{}", path) for part in command], capture_output=True, text=True)
    try:
        return json.loads(result.stdout)["findings"]
    except (ValueError, KeyError, TypeError):
        print("no result for", path, result.stderr[-200:], file=sys.stderr)
        return []
