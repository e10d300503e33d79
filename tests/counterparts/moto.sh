#!/usr/bin/env bash
# The AWS adapter, and hpcd with it, against moto (EC2's wire format) and against microburst before it (faults in EC2's own
# words, and answers lost after the commit). Both servers are Python packages, kept between runs; they listen on free ports
# of loopback.
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
# Both packages in every call: the same selection has the same features, so the vendor's SDK is compiled once.
both=(--locked -p hpc-provider-aws -p hpcd --features 'hpc-provider-aws/sdk,hpcd/aws')
cargo test "${both[@]}" -- --nocapture 2>&1 | tee "$log"
# The servers were promised: a test that found none has not run.
if grep -q 'skipped: HPC_TEST_EC2' "$log"; then
    echo 'a test was skipped, although its server runs' >&2
    exit 1
fi
for test in \
    wire::instances_go_their_whole_way_with_their_tags \
    aws::a_request_goes_the_whole_way_and_leaves_nothing \
    aws::lost_answers_and_stock_outs_leave_one_instance_or_none; do
    grep -q "$test" "$log" || { echo "the test $test is not there any more" >&2; exit 1; }
done
