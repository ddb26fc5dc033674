# SPDX-License-Identifier: GPL-2.0-or-later
# fish completion for gpuptctl(1)

function __gpuptctl_gpus
    gpuptctl list --no-legend --no-pager 2>/dev/null | string replace -r '^(\S+)\s+' '$1\t'
end

function __gpuptctl_jobs
    gpuptctl jobs --no-legend --no-pager 2>/dev/null | string replace -r '^\s*(\d+)\s+' '$1\t'
end

set -l verbs list status groups holders detach attach reset recover plan run jobs cancel monitor log check rom xml guest-script set-default sleep hook rescan reload

complete -c gpuptctl -f

complete -c gpuptctl -n "not __fish_seen_subcommand_from $verbs" -a list -d 'List the GPUs of this host'
complete -c gpuptctl -n "not __fish_seen_subcommand_from $verbs" -a status -d 'Show all about one GPU'
complete -c gpuptctl -n "not __fish_seen_subcommand_from $verbs" -a groups -d 'List PCI functions by IOMMU group'
complete -c gpuptctl -n "not __fish_seen_subcommand_from $verbs" -a holders -d 'List the processes that use a GPU'
complete -c gpuptctl -n "not __fish_seen_subcommand_from $verbs" -a detach -d 'Bind a GPU to VFIO'
complete -c gpuptctl -n "not __fish_seen_subcommand_from $verbs" -a attach -d 'Give a GPU back to its host drivers'
complete -c gpuptctl -n "not __fish_seen_subcommand_from $verbs" -a reset -d 'Reset a GPU once'
complete -c gpuptctl -n "not __fish_seen_subcommand_from $verbs" -a recover -d 'Get a sick GPU well'
complete -c gpuptctl -n "not __fish_seen_subcommand_from $verbs" -a plan -d 'Show the steps that an operation would take'
complete -c gpuptctl -n "not __fish_seen_subcommand_from $verbs" -a run -d 'Have a GPU detached while a command runs'
complete -c gpuptctl -n "not __fish_seen_subcommand_from $verbs" -a jobs -d 'List the jobs that run'
complete -c gpuptctl -n "not __fish_seen_subcommand_from $verbs" -a cancel -d 'Ask a job to stop'
complete -c gpuptctl -n "not __fish_seen_subcommand_from $verbs" -a monitor -d 'Show what happens'
complete -c gpuptctl -n "not __fish_seen_subcommand_from $verbs" -a log -d 'Show the journal of gpuptd'
complete -c gpuptctl -n "not __fish_seen_subcommand_from $verbs" -a check -d 'Check whether this host is ready'
complete -c gpuptctl -n "not __fish_seen_subcommand_from $verbs" -a rom -d 'Read the firmware image of a GPU'
complete -c gpuptctl -n "not __fish_seen_subcommand_from $verbs" -a xml -d 'Print what gives a GPU to a guest'
complete -c gpuptctl -n "not __fish_seen_subcommand_from $verbs" -a guest-script -d 'Write scripts for a Windows guest'
complete -c gpuptctl -n "not __fish_seen_subcommand_from $verbs" -a set-default -d 'Say where a GPU is to be from the next boot on'
complete -c gpuptctl -n "not __fish_seen_subcommand_from $verbs" -a sleep -d 'Show what became of the last sleep, or prepare or finish one'
complete -c gpuptctl -n "not __fish_seen_subcommand_from $verbs" -a hook -d 'Move the cards of a VM that starts or stops'
complete -c gpuptctl -n "not __fish_seen_subcommand_from $verbs" -a rescan -d 'Have gpuptd read all GPUs again'
complete -c gpuptctl -n "not __fish_seen_subcommand_from $verbs" -a reload -d 'Have gpuptd read its configuration again'

complete -c gpuptctl -n '__fish_seen_subcommand_from status holders detach attach reset recover run log rom xml guest-script' -a '(__gpuptctl_gpus)'
complete -c gpuptctl -n '__fish_seen_subcommand_from set-default; and not __fish_seen_subcommand_from host vfio' -a '(__gpuptctl_gpus) host vfio'
complete -c gpuptctl -n '__fish_seen_subcommand_from plan; and not __fish_seen_subcommand_from detach attach reset recover' -a 'detach attach reset recover'
complete -c gpuptctl -n '__fish_seen_subcommand_from sleep; and not __fish_seen_subcommand_from report prepare finish' -a 'report prepare finish'
complete -c gpuptctl -n '__fish_seen_subcommand_from sleep; and __fish_seen_subcommand_from prepare' -a 'suspend hibernate hybrid-sleep suspend-then-hibernate'
complete -c gpuptctl -n '__fish_seen_subcommand_from hook; and not __fish_seen_subcommand_from libvirt proxmox' -a 'libvirt proxmox'
complete -c gpuptctl -n '__fish_seen_subcommand_from cancel' -a '(__gpuptctl_jobs)'
complete -c gpuptctl -n '__fish_seen_subcommand_from run; and contains -- -- (commandline -opc)' -a '(__fish_complete_command)'

complete -c gpuptctl -s h -l help -d 'Show help'
complete -c gpuptctl -l version -d 'Show the version'
complete -c gpuptctl -s H -l host -x -a '(__fish_print_hostnames)' -d 'Talk to gpuptd on another machine'
complete -c gpuptctl -l json -x -a 'pretty short off' -d 'Print JSON'
complete -c gpuptctl -s j -d 'Print JSON'
complete -c gpuptctl -l no-pager -d 'Do not use a pager'
complete -c gpuptctl -l no-legend -d 'Print no headings and no totals'
complete -c gpuptctl -l no-ask-password -d 'Do not ask for a password'
complete -c gpuptctl -l no-block -d 'Do not wait until the job has ended'
complete -c gpuptctl -s q -l quiet -d 'Print only errors'
complete -c gpuptctl -l force -d 'End what uses the GPU'
complete -c gpuptctl -l disrupt-session -d 'Allow what ends a session or blanks the last display'
complete -c gpuptctl -l wait -x -d 'Seconds to wait for holders'
complete -c gpuptctl -l functions -x -d 'Only these functions'
complete -c gpuptctl -l driver -x -d 'Bind to this driver'
complete -c gpuptctl -l access -x -a 'none caller' -d 'Who may open the VFIO nodes'
complete -c gpuptctl -l method -x -a 'wake flr af_flr device_specific acpi pm bus subordinate remove-rescan driver bridge slot power-cycle suspend-cycle' -d 'Reset in this way'
complete -c gpuptctl -l dry-run -d 'Print the plan, change nothing'
complete -c gpuptctl -s o -l output -r -F -d 'Write to this file or directory'
complete -c gpuptctl -l format -x -a 'libvirt qemu proxmox' -d 'Print one configuration'
complete -c gpuptctl -l rom -r -F -d 'Name this firmware image'
complete -c gpuptctl -s n -l lines -x -d 'How many lines of the journal'
complete -c gpuptctl -s f -l follow -d 'Show new journal lines'
