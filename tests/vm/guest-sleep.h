/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* guest-sleep: the sleeps of this machine: many in one boot, a look at it in the moment before the kernel puts it to sleep, and what
 * gpuptd and the kernel say about it afterwards. */

#include <glib.h>
#include <json-c/json.h>
#include <stdbool.h>

#include "guest.h"

/* For a case of its own; gone with the next one. polkit reads it when it notices. */
#define POLKIT_RULES "/etc/polkit-1/rules.d/10-gpupt-vm.rules"

/* As case_add(); what a case leaves of sleep (a mask, a gate that is open, a unit file) goes as well. */
void sleep_case_add(const char *path, void (*test)(void));

/* A VM that is a service with a file, NESTED_UNIT, and has no other manager. */
void unit_vm_start(void);

/* [Sleep] of CARD, in lines. */
void sleep_policy(const char *lines);

/* What a shell does after all has been prepared, right before the kernel is told to sleep, as root; and what it printed. */
void at_sleep(const char *script);
char *said_at_sleep(void);

/* Puts it to sleep as a user would, and waits until gpuptd says that all is over. False if the machine stayed awake. */
bool host_suspend(void);
/* The same, by no other than the target: logind does not know of it. Exit status of `systemctl start`. */
int host_suspend_directly(void);
/* Until the gate is closed, and gpuptd has done what there is to do. */
void host_wait_awake(void);

/* How often the kernel has slept in this boot, and how often it has tried; how many lines of this case say that it freezes tasks. */
unsigned kernel_slept(void);
unsigned kernel_tried(void);
unsigned kernel_froze(void);

/* What gpuptctl says of the last sleep, to be freed by json_object_put(); and a string of it by its JSON pointer, such as
 * "/gpus/0/result". */
json_object *sleep_report(void);
char *report_get(json_object *report, const char *pointer);
/* So it is in the last sleep, pointer by pointer; NULL for what is not to be there. Fails the case, with the whole report, if not. */
void assert_reported(const char *pointer, const char *wanted, ...) G_GNUC_NULL_TERMINATED;

/* The lines of gpuptd's that the journal has of this case. */
char *journal_of_daemon(void);
/* The locks at logind, as systemd-inhibit lists them; and waiting until gpuptd has this one ("block", "delay"), or has it no more. */
char *locks(void);
void wait_lock(const char *mode, bool held);
