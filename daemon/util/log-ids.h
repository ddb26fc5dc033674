/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* log-ids: the MESSAGE_ID of every event that an administrator or a monitor acts upon; units/gpuptd.catalog explains
 * each (tests/check-catalog compares the two). They are part of the interface: an id never changes its meaning. Each is
 * logged with GPUPT_GPU=; those of jobs also with GPUPT_JOB= and GPUPT_OPERATION=, those of a job's end with
 * GPUPT_RESULT=, GPUPT_ERROR= (empty if done) and, where one failed, GPUPT_STEP=. */

#define MESSAGE_ID_JOB_BEGUN "41b417e7d230457c9aa7a3e359176aa4"
#define MESSAGE_ID_JOB_DONE "ff848eb54516480f85865fa982daca47"
/* Ended in failure with nothing to undo, or cancelled before anything was changed. */
#define MESSAGE_ID_JOB_FAILED "3ccd0f062a2f486ab02797b848a44fdf"
/* Failed or was cancelled, and everything that it had changed was put back. */
#define MESSAGE_ID_JOB_ROLLED_BACK "0f98b2cf639d4d4db46b61e4f3be4a4f"
/* Failed, and could not be undone as a whole: the GPU is left with a mixture of drivers. */
#define MESSAGE_ID_GPU_PARTIAL "0ce24e91558947dc88982fb1fc7d3074"
/* A kernel call on the GPU has not returned in its time. */
#define MESSAGE_ID_GPU_STUCK "30f94f8c9c9b4ae48cae86ee52b45a1b"
/* That call has returned. */
#define MESSAGE_ID_GPU_UNSTUCK "26bbe69d3a3449feb995625ed1f30671"
/* A detach was refused because of processes that hold the GPU. */
#define MESSAGE_ID_HOLDERS_REFUSED "8e33d8b79a0d48fe8d650bcebfa38e25"
#define MESSAGE_ID_LEASE_TAKEN "ef780223cc344b4d9b1ba7a20ea8650a"
#define MESSAGE_ID_LEASE_RELEASED "8ea3218a59014dee9ed2e89312732f9c"
/* A daemon that was started again has found the traces of an unfinished job and deals with them. */
#define MESSAGE_ID_JOB_RECOVERED "25a2d032efe4434ca1b2dc4bae8765be"
/* The host does not sleep on account of a GPU, or of what has it. */
#define MESSAGE_ID_SLEEP_VETOED "d0c1c4f4b4d64a0b8f4a3f0c3a5e9b17"
/* The host has slept, or was about to, and not everything could be brought back. */
#define MESSAGE_ID_SLEEP_FAILED "5b7e2a9c61f84d0e9d3c7a4e8f1b6c25"
/* A program in /etc/gpuptd/hooks.d has failed, and what it was told of was done, or undone, all the same. */
#define MESSAGE_ID_HOOK_FAILED "8f0c5d1e6a2b4c7792d34e5fa1b06c3d"
/* Somebody else has bound, unbound, added or removed a function of a GPU. */
#define MESSAGE_ID_GPU_CHANGED "86e85a89b04243ad830175af89e1a30e"
/* No VM has opened a GPU that was taken from a desktop, or with the last display, in its time: it is attached. */
#define MESSAGE_ID_DISPLAY_UNUSED "0cb7216838414a39b2718bdcd5278daa"
/* An attach has not brought back the display that the host had: the GPU is recovered. */
#define MESSAGE_ID_DISPLAY_DARK "74d9042eb77a4ce4a0f40b7b08948734"
/* Nor has that: a text console is what is left. */
#define MESSAGE_ID_DISPLAY_LOST "2a23c114a42a4b4380b50151b72dbe75"
/* The GPU is back, and the display manager has not started. */
#define MESSAGE_ID_DISPLAY_NO_LOGIN "63e06086b96c49a685bd846e6b141197"
