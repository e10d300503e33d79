#!/usr/bin/env bash
# The AWS adapter against moto (EC2's wire format) and against microburst before it (faults in EC2's own words, and answers
# lost after the commit). Both servers are Python packages, kept between runs; they listen on free ports of loopback.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$root"

environment=$(venv moto-5.2.5-boto3-1.44.5-microburst-0.10.0 'moto[server]==5.2.5' boto3==1.44.5 microburst==0.10.0)
moto_port=$(free_port)
start moto env MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION=1 MOTO_ENABLE_AMI_VALIDATION=1 \
    "$environment/bin/moto_server" -H 127.0.0.1 -p "$moto_port"
wait_http moto "http://127.0.0.1:$moto_port/moto-api/"
faults_port=$(free_port)
start microburst "$environment/bin/microburst" --upstream "http://127.0.0.1:$moto_port" --host 127.0.0.1 --port "$faults_port"
wait_http microburst "http://127.0.0.1:$faults_port/_microburst/health"

export HPC_TEST_EC2="http://127.0.0.1:$moto_port"
export HPC_TEST_EC2_FAULTS="http://127.0.0.1:$faults_port"
log="$DIR/tests.log"
cargo test --locked -p hpc-provider-aws --features sdk -- --nocapture 2>&1 | tee "$log"
# The servers were promised: a test that found none has not run.
if grep -q 'skipped: HPC_TEST_EC2' "$log"; then
    echo 'a test was skipped, although its server runs' >&2
    exit 1
fi
