#!/bin/sh
# What docs/reliability.md reports, one after the other and to the end; fails when one of them did.
set -u
cd "$(dirname "$0")/.."
python=.venv/bin/python
status=0
for rig in chaos "chaos --bucket" "chaos --bucket --outages" "chaos --disk" "chaos --disk --outages" together broker; do
    echo "python -m tests.faults.$rig"
    # shellcheck disable=SC2086  # a rig and what is asked of it
    $python -m tests.faults.$rig || status=1
done
export COVERSLIP_CRASH_STRIDE=1 COVERSLIP_UPLOAD_SEQUENCES=5000 COVERSLIP_POWER_CUTS=1000 COVERSLIP_POSTGRES_CRASHES=20 \
    COVERSLIP_DISK_UPLOADS=84 COVERSLIP_QUEUE_SEQUENCES=400
for part in uploads power postgres disk s3 s3_crash any_order; do
    $python -m pytest -q "tests/faults/test_$part.py" || status=1
done
exit $status
