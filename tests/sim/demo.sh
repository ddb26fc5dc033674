#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# demo: one card, there and back, on the simulated desktop (topologies/desktop.topology): what ./bootstrap demo shows. Runs
# inside of gpuptd-sim. Each command is shown before it is run, and each has to end as it should: the exit status of the
# demo says whether all did.

set -euo pipefail

GPU=0000:08:00.0
SOUND=0000:08:00.1
PROGRAMS=/run/demo # of the simulated machine
export SYSTEMD_PAGER=

commands=0 wrong=0 holder=

say() { printf '\n\033[1m# %s\033[0m\n' "$*"; }

# expect STATUS COMMAND…
expect() {
        local expected=$1 status=0
        shift

        printf '\033[1m$ %s\033[0m\n' "$*"
        "$@" || status=$?
        commands=$((commands + 1))
        if [[ $status -ne $expected ]]; then
                printf 'demo: this was to exit with %d, not with %d\n' "$expected" "$status"
                wrong=$((wrong + 1))
        fi
}

# hold NAME NODE: a program of that name has the device open. It has it when its first file descriptor says so.
hold() {
        mkdir -p "$PROGRAMS"
        cp /bin/sleep "$PROGRAMS/$1"
        "$PROGRAMS/$1" infinity <"$2" &
        holder=$!
        disown
        until [[ $(readlink "/proc/$holder/exe") == "$PROGRAMS/$1" ]]; do
                kill -0 "$holder" || exit
        done
}

let_go() {
        kill "$holder"
        while [[ -e /proc/$holder ]]; do :; done
}

# Until gpuptd has seen it. The GPU says it by a signal, too; a demo may ask again and again.
wait_for_state() {
        local list=''
        until grep -q "^$GPU .* $1 " <<<"$list"; do
                list=$(gpuptctl list --no-legend) || exit
        done
}

# What must be the same in the end.
drivers() { readlink /sys/bus/pci/devices/*/driver; cat /sys/bus/pci/devices/*/{driver_override,power/control}; }

before=$(drivers)

say "The GPUs of this machine: it shows on the Radeon, the NVIDIA card is to go to a virtual machine."
expect 0 gpuptctl

say "What would be done to take it from the host? Nothing is done yet."
expect 0 gpuptctl plan detach 08:00.0

say "A program plays sound through the card and does not let go. The detach is refused, and all is as it was."
hold player /dev/snd/controlC"$(basename /sys/bus/pci/devices/$SOUND/sound/card* | tr -dc 0-9)"
expect 5 gpuptctl detach --wait=1 08:00.0
expect 0 gpuptctl holders 08:00.0
let_go

say "It has ended. Now the card goes, with its sound."
expect 0 gpuptctl detach 08:00.0
expect 0 gpuptctl status 08:00.0

say "A virtual machine opens it: the state follows by itself, and an attach is refused."
hold vm "/dev/vfio/$(basename "$(readlink /sys/bus/pci/devices/$GPU/iommu_group)")"
wait_for_state assigned
expect 0 gpuptctl
expect 5 gpuptctl attach 08:00.0
let_go
wait_for_state detached

say "The virtual machine has ended. The card goes back to the drivers that it came from."
expect 0 gpuptctl attach 08:00.0
expect 0 gpuptctl

if [[ $(drivers) != "$before" ]]; then
        printf 'demo: drivers, overrides or power settings are not as they were\n'
        wrong=$((wrong + 1))
fi
say "$commands commands, $wrong of them not as expected; drivers, overrides and power settings were compared with the start."
[[ $wrong -eq 0 ]]
