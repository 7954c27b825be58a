#!/usr/bin/env bash
# Train with several processes on this machine, one a GPU:
#   tools/dist_train.sh configs/flower/resnet50_flower.py 4 [train.py's options]
# On several machines: NNODES, NODE_RANK, MASTER_ADDR and PORT say which.
set -eu
CONFIG=$1
GPUS=$2
python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    "$(dirname "$0")/train.py" "$CONFIG" --launcher pytorch "${@:3}"
