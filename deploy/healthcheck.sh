#!/bin/bash
# Succeeds if the version that is labelled stable can be asked. TensorFlow Serving's image has no curl.
#
#   healthcheck.sh [MODEL] [REST_PORT]
#
# The metadata are asked for, as TensorFlow Serving leaves the label out of account for the status.
set -eu
model=${1:-dmm_cnn} port=${2:-8501}

exec 3<>"/dev/tcp/127.0.0.1/${port}"
printf 'GET /v1/models/%s/labels/stable/metadata HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' \
    "${model}" >&3
read -r -t 4 _ status _ <&3
[[ ${status} == 200 ]]
