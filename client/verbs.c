/* SPDX-License-Identifier: GPL-2.0-or-later */

/* verbs: the one table of what gpuptctl can do. Help is made from it; the man page and the completions are compared
 * with it by a test. */

#include "client/verbs.h"

#define OPERATION (VERB_IS_OPERATION | VERB_TAKES_JOB_OPTIONS)

const Verb verb_table[] = {
        { "list",    "",               0, 0, 0,                      verb_list,
          "List the GPUs of this host (the default)" },
        { "status",  "[GPU]",          0, 1, VERB_TAKES_LOG_OPTIONS, verb_status,
          "Show all about one GPU" },
        { "groups",  "",               0, 0, 0,                      verb_groups,
          "List PCI functions by IOMMU group, with drivers and reset methods" },
        { "holders", "[GPU]",          0, 1, 0,                      verb_holders,
          "List the processes that use a GPU" },
        { "detach",  "[GPU]",          0, 1, OPERATION | VERB_TAKES_MOVE_OPTIONS, verb_detach,
          "Take a GPU from its host drivers and bind it to VFIO" },
        { "attach",  "[GPU]",          0, 1, OPERATION | VERB_TAKES_MOVE_OPTIONS, verb_attach,
          "Give a GPU back to its host drivers" },
        { "reset",   "[GPU]",          0, 1, OPERATION | VERB_TAKES_METHOD, verb_reset,
          "Reset a GPU once, in the weakest way that it has or in a named one" },
        { "recover", "[GPU]",          0, 1, OPERATION,              verb_recover,
          "Get a sick GPU well: try one reset after the other until it is" },
        { "plan",    "OPERATION [GPU]", 1, 2, VERB_TAKES_JOB_OPTIONS | VERB_TAKES_OPERATION, verb_plan,
          "Show the steps that an operation would take" },
        { "run",     "[GPU] -- COMMAND…", 0, 1,
          VERB_TAKES_JOB_OPTIONS | VERB_TAKES_MOVE_OPTIONS | VERB_TAKES_COMMAND | VERB_LOCAL_ONLY, verb_run,
          "Have a GPU detached while a command runs" },
        { "jobs",    "",               0, 0, 0,                      verb_jobs,
          "List the jobs that run" },
        { "cancel",  "[JOB]",          0, 1, 0,                      verb_cancel,
          "Ask a job to stop and to undo what it has done" },
        { "monitor", "",               0, 0, 0,                      verb_monitor,
          "Show what happens, as it happens" },
        { "log",     "[GPU]",          0, 1, VERB_TAKES_LOG_OPTIONS | VERB_LOCAL_ONLY, verb_log,
          "Show gpuptd's journal, of one GPU or all" },
        { "check",   "",               0, 0, 0,                      verb_check,
          "Check whether this host is ready for passthrough, and say what to do" },
        { "rom",     "[GPU]",          0, 1, VERB_TAKES_FORCE | VERB_TAKES_OUTPUT | VERB_LOCAL_ONLY, verb_rom,
          "Read the firmware image of a GPU" },
        { "xml",     "[GPU]",          0, 1, VERB_TAKES_GUEST_OPTIONS, verb_xml,
          "Print what gives a GPU to a guest: libvirt's XML, QEMU's arguments, Proxmox's command" },
        { "guest-script", "[GPU]",     0, 1, VERB_TAKES_FORCE | VERB_TAKES_OUTPUT, verb_guest_script,
          "Write scripts for a Windows guest that let go of a GPU before it shuts down" },
        { "set-default", "GPU host|vfio", 2, 2, 0,                   verb_set_default,
          "Say where a GPU is to be from the next boot on" },
        { "sleep",   "report|prepare|finish", 1, 2, 0,               verb_sleep,
          "Show what became of the last sleep; or prepare one, and finish it" },
        { "hook",    "libvirt|proxmox ARGUMENTS…", 3, 5, VERB_TAKES_JOB_OPTIONS | VERB_LOCAL_ONLY, verb_hook,
          "For hooks of VM managers: move the cards of a VM that starts or stops" },
        { "rescan",  "",               0, 0, 0,                      verb_rescan,
          "Have gpuptd read all GPUs again" },
        { "reload",  "",               0, 0, 0,                      verb_reload,
          "Have gpuptd read its configuration again" },
        {},
};
