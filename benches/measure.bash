# What the benchmarks share, sourced by them: the binary, a clean environment, plans, and measuring in turn.
#
# BKP      the binary to measure             (default: target/release/bkp; build it with `cargo build --release`)
# FOLDER   where the data goes               (default: a new folder under ${TMPDIR:-/tmp})
# ROUNDS   runs of each command              (default: 5; one more of each comes first and is not counted)

# needs TOOL...
needs() {
  for tool in "$@"; do
    command -v "$tool" >/dev/null || { echo "this benchmark needs $tool" >&2; exit 1; }
  done
}

bkp=$(realpath "${BKP:-target/release/bkp}")
rounds=${ROUNDS:-5}
if [ -n "${FOLDER:-}" ]; then
  folder=$FOLDER
  mkdir -p "$folder"
else
  folder=$(mktemp -d "${TMPDIR:-/tmp}/bkp-speed-XXXXXX")
  trap 'rm -rf "$folder"' EXIT
fi
[ -x "$bkp" ] || { echo "no binary at $bkp: run cargo build --release" >&2; exit 1; }

# A clean environment: nothing of the caller's settings, and a home of its own.
export HOME=$folder/home XDG_STATE_HOME=$folder/state XDG_CONFIG_HOME=$folder/config
mkdir -p "$HOME" "$XDG_STATE_HOME" "$XDG_CONFIG_HOME"
while read -r name; do unset "$name"; done < <(compgen -e | grep '^BKP_' || true)

# copy_of PLAN: the installed plan, which jobs run.
copy_of() { echo "$XDG_CONFIG_HOME/bkp/plans/$1.yaml"; }

# installed NAME SET COMPRESSION: a plan with one set, written as in a plan file, applied.
installed() {
  mkdir -p "$folder/plans"
  cat >"$folder/plans/$1.yaml" <<YAML
version: 1
name: $1
host: "*"
scope: user
scheduler: embedded
defaults:
  schedule: daily 03:00
  destinations: [local]
  retention: { last: 1000 }
  compression: $3
  prove: { intact: 3650d, restored: 3650d }
destinations:
  local: { type: local, path: $folder/kept/$1 }
sets:
  $1: $2
YAML
  "$bkp" apply "$folder/plans/$1.yaml" --yes >"$folder/$1.log" 2>&1 || { cat "$folder/$1.log" >&2; exit 1; }
}

# measure ROUNDS COMMAND...: runs each command in turn, WARM (1) rounds uncounted, and prints one row for each; ratios
# are to the first.
measure() {
  python3 - "$@" <<'PY'
import os, statistics, subprocess, sys, time
rounds, commands = int(sys.argv[1]), sys.argv[2:]
rows = [[] for _ in commands]
warm = int(os.environ.get("WARM", "1"))
for turn in range(rounds + warm):
    for row, command in zip(rows, commands):
        begun = time.monotonic()
        child = subprocess.Popen(["bash", "-c", "set -euo pipefail; " + command], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        said = child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.monotonic() - begun
        if status != 0:
            sys.exit(f"failed ({status}): {command}\n{said.decode()}")
        if turn >= warm:
            row.append((wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024))
median = lambda row, at: statistics.median(run[at] for run in row)
for row, command in zip(rows, commands):
    print(f"  {command}")
    spread = f"{min(run[0] for run in row):.2f}..{max(run[0] for run in row):.2f}"
    print(f"    wall {median(row, 0):.2f} s ({spread})  cpu {median(row, 1):.2f} s  peak {max(run[2] for run in row):.1f} MiB")
for row, command in list(zip(rows, commands))[1:]:
    by_pair = lambda at: statistics.median(mine[at] / peer[at] for mine, peer in zip(row, rows[0]))
    print(f"  ratio to the peer: wall {by_pair(0):.2f}  cpu {by_pair(1):.2f}")
PY
}

# tree FOLDER MIB: a mixed tree, the same each time: small and larger text, binary records, what does not compress.
tree() {
  [ -e "$1.made" ] || python3 - "$1" "$2" <<'PY'
import os, random, struct, sys
root, total = sys.argv[1], int(sys.argv[2]) << 20
rng = random.Random(1)
words = [bytes(rng.choices(b"etaoinshrdlucmfwyp", k=rng.randint(2, 11))) for _ in range(20000)]
weights = [1 / (rank + 3) for rank in range(len(words))]
text = b" ".join(rng.choices(words, weights, k=6_000_000))
rows = b"".join(struct.pack("<QIHHd", 1700000000000 + i * 17, rng.randrange(5000), i % 7, 0, round(rng.gauss(20, 5), 2))
                for i in range(1_000_000))
number = 0
def file(pool, size):
    """Writes one file: pieces of a pool, each from another place; without a pool, noise."""
    global number
    folder = f"{root}/{number % 97:02}/{number // 97 % 10}"
    os.makedirs(folder, exist_ok=True)
    with open(f"{folder}/file-{number:06}", "wb") as out:
        left = size
        while left:
            piece = min(left, 1 << 20)
            if pool is None:
                out.write(rng.randbytes(piece))
            else:
                at = rng.randrange(len(pool) - piece)
                out.write(pool[at:at + piece])
            left -= piece
    number += 1
    return size
shares = [  # of the whole, pool, smallest and largest file
    (0.22, text, 300, 40 << 10),
    (0.28, text, 100 << 10, 3 << 20),
    (0.20, rows, 8 << 20, 48 << 20),
    (0.05, rows, 2 << 10, 200 << 10),
    (0.25, None, 1 << 20, 6 << 20),
]
for share, pool, least, most in shares:
    left = int(total * share)
    while left > 0:
        left -= file(pool, min(left, rng.randint(least, most)))
PY
  touch "$1.made"
}
