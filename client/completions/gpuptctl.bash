# SPDX-License-Identifier: GPL-2.0-or-later
# bash completion for gpuptctl(1)

_gpuptctl_gpus() {
        gpuptctl list --no-legend --no-pager 2>/dev/null | while read -r address _; do printf '%s\n' "$address"; done
}

_gpuptctl_jobs() {
        gpuptctl jobs --no-legend --no-pager 2>/dev/null | while read -r id _; do printf '%s\n' "$id"; done
}

_gpuptctl() {
        local verbs='list status groups holders detach attach reset recover plan run jobs cancel monitor log check rom xml guest-script set-default sleep hook rescan reload'
        local options='--help --version --host= --json= --no-pager --no-legend --no-ask-password --no-block --quiet
                       --force --disrupt-session --wait= --functions= --driver= --access= --method= --dry-run --output=
                       --format= --rom= --lines= --follow -h -H -j -q -o -n -f'
        local methods='wake flr af_flr device_specific acpi pm bus subordinate remove-rescan driver bridge slot
                       power-cycle suspend-cycle'
        local cur prev words cword word verb='' operation='' choices='' i

        # "=" and ":" break words in bash; options and addresses have them inside.
        _init_completion -n =: || return

        for ((i = 1; i < cword; i++)); do
                word=${words[i]}
                if [[ $word == -- && $verb == run ]]; then
                        _command_offset $((i + 1))
                        return
                fi
                case $word in
                -H|--host|-n|--lines|-o|--output|--format|--rom|--json|--wait|--functions|--driver|--access|--method)
                        ((i++))
                        ;;
                -*)
                        ;;
                *)
                        if [[ -z $verb ]]; then
                                verb=$word
                        else
                                operation=$word
                        fi
                        ;;
                esac
        done

        case $prev in
        -H|--host)
                _known_hosts_real -- "$cur"
                return
                ;;
        -n|--lines|--wait)
                return
                ;;
        --method)
                mapfile -t COMPREPLY < <(compgen -W "$methods" -- "$cur")
                return
                ;;
        --format)
                mapfile -t COMPREPLY < <(compgen -W 'libvirt qemu proxmox' -- "$cur")
                return
                ;;
        -o|--output|--rom)
                _filedir
                return
                ;;
        esac

        case $cur in
        --json=*)
                mapfile -t COMPREPLY < <(compgen -W 'pretty short off' -P --json= -- "${cur#*=}")
                return
                ;;
        --access=*)
                mapfile -t COMPREPLY < <(compgen -W 'none caller' -P --access= -- "${cur#*=}")
                return
                ;;
        --method=*)
                mapfile -t COMPREPLY < <(compgen -W "$methods" -P --method= -- "${cur#*=}")
                return
                ;;
        --format=*)
                mapfile -t COMPREPLY < <(compgen -W 'libvirt qemu proxmox' -P --format= -- "${cur#*=}")
                return
                ;;
        --output=*|--rom=*)
                word=${cur%%=*}
                cur=${cur#*=}
                _filedir
                COMPREPLY=("${COMPREPLY[@]/#/$word=}")
                return
                ;;
        --*=*)
                return
                ;;
        -*)
                mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
                [[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace
                return
                ;;
        esac

        case $verb in
        '')
                choices=$verbs
                ;;
        plan)
                if [[ -z $operation ]]; then
                        choices='detach attach reset recover'
                else
                        choices=$(_gpuptctl_gpus)
                fi
                ;;
        status|holders|detach|attach|reset|recover|run|log|rom|xml|guest-script)
                [[ -z $operation ]] && choices=$(_gpuptctl_gpus)
                ;;
        set-default)
                if [[ -z $operation ]]; then
                        choices=$(_gpuptctl_gpus)
                else
                        choices='host vfio'
                fi
                ;;
        sleep)
                if [[ -z $operation ]]; then
                        choices='report prepare finish'
                elif [[ $operation == prepare ]]; then
                        choices='suspend hibernate hybrid-sleep suspend-then-hibernate'
                fi
                ;;
        hook)
                [[ -z $operation ]] && choices='libvirt proxmox'
                ;;
        cancel)
                [[ -z $operation ]] && choices=$(_gpuptctl_jobs)
                ;;
        esac
        mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$cur")
        __ltrim_colon_completions "$cur"
}

complete -F _gpuptctl gpuptctl
