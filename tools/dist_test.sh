#!/usr/bin/env bash
# Test with several processes on this machine, one a GPU:
#   tools/dist_test.sh CONFIG CHECKPOINT 4 [test.py's options]
# On several machines: NNODES, NODE_RANK, MASTER_ADDR and PORT say which.
set -eu
CONFIG=$1
CHECKPOINT=$2
GPUS=$3
python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    "$(dirname "$0")/test.py" "$CONFIG" "$CHECKPOINT" --launcher pytorch "${@:4}"
