#!/usr/bin/env bash
# The Slurm adapter against a real one-node cluster: munged, slurmctld and slurmd from Debian, eight GPUs that are empty files.
# The daemons need root and users of their own; elsewhere this says why it does nothing.
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$root"

if [ "$(id -u)" -ne 0 ]; then
    echo 'skipped: slurmd starts jobs for other users, so it runs as root only'
    exit 0
fi
if ! command -v apt-get >/dev/null; then
    echo 'skipped: there is no apt-get to install Slurm with'
    exit 0
fi
debs munge slurmctld slurmd slurm-client

cluster="$DIR/slurm"
host=$(hostname -s)
mkdir -p "$cluster"/{state,spool,log,dev,munge,run}
touch "$cluster"/dev/nvidia{0..7}
head -c 1024 /dev/urandom >"$cluster/munge/munge.key"
chmod 700 "$cluster/munge"
chmod 400 "$cluster/munge/munge.key"
chown -R munge: "$cluster/munge" "$cluster/run"
# The ports are drawn anew each time; `Count=8` without files would drain the node.
printf '%s\n' ClusterName=hpc "SlurmctldHost=$host(127.0.0.1)" SlurmUser=root SlurmdUser=root \
    AuthType=auth/munge "AuthInfo=socket=$cluster/run/munge.socket" CredType=cred/munge \
    "SlurmctldPort=$(free_port)" "SlurmdPort=$(free_port)" \
    "SlurmctldPidFile=$cluster/slurmctld.own" "SlurmdPidFile=$cluster/slurmd.own" \
    "SlurmdSpoolDir=$cluster/spool" "StateSaveLocation=$cluster/state" \
    ProctrackType=proctrack/linuxproc TaskPlugin=task/none JobAcctGatherType=jobacct_gather/none \
    AccountingStorageType=accounting_storage/none JobCompType=jobcomp/none \
    SelectType=select/cons_tres SelectTypeParameters=CR_Core SchedulerType=sched/backfill \
    SchedulerParameters=bf_interval=1,sched_interval=1 GresTypes=gpu ReturnToService=2 MpiDefault=none \
    SlurmdParameters=config_overrides \
    "NodeName=$host NodeAddr=127.0.0.1 CPUs=8 RealMemory=4000 Gres=gpu:h100:8 State=UNKNOWN" \
    "PartitionName=gpu Nodes=$host Default=YES MaxTime=INFINITE State=UP" \
    "PartitionName=short Nodes=$host MaxTime=10 State=UP" \
    "PartitionName=off Nodes=$host State=DOWN" >"$cluster/slurm.conf"
printf 'AutoDetect=off\nName=gpu Type=h100 File=%s/dev/nvidia[0-7]\n' "$cluster" >"$cluster/gres.conf"
printf 'CgroupPlugin=cgroup/v1\n' >"$cluster/cgroup.conf"
export SLURM_CONF="$cluster/slurm.conf"

# Jobs outlive the daemon that started them.
end_all() {
    scancel --me 2>/dev/null || true
    for _ in $(seq 50); do
        [ -n "$(squeue --noheader --me 2>/dev/null)" ] || break
        sleep 0.1
    done
    stop_all
}
trap end_all EXIT

start munged setpriv --reuid munge --regid munge --clear-groups munged --foreground \
    --key-file="$cluster/munge/munge.key" --socket="$cluster/run/munge.socket" --pid-file="$cluster/run/munged.own" \
    --log-file="$cluster/munge/munged.log" --seed-file="$cluster/munge/seed"
for _ in $(seq 100); do
    [ -S "$cluster/run/munge.socket" ] && break
    sleep 0.1
done
start slurmctld slurmctld -D -c
start slurmd slurmd -D -N "$host"
idle() { sinfo --noheader --Node --format=%t 2>/dev/null | grep -q '^idle$'; }
for _ in $(seq 300); do
    idle && break
    sleep 0.1
done
if ! idle; then
    echo 'the cluster has no idle node:' >&2
    tail -20 "$DIR"/{munged,slurmctld,slurmd}.log >&2
    exit 1
fi
sinfo --version

export HPC_TEST_SLURM="$SLURM_CONF"
log="$DIR/tests.log"
unset SLURM_CONF
cargo test --locked -p hpc-provider-slurm -- --nocapture 2>&1 | tee "$log"
export SLURM_CONF="$HPC_TEST_SLURM"
# The cluster was promised: a test that found none has not run.
if grep -q 'skipped: HPC_TEST_SLURM' "$log"; then
    echo 'a test was skipped, although its cluster runs' >&2
    exit 1
fi
