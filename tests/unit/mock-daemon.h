/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* mock-daemon: a stand-in for gpuptd on a private bus, for tests of its client. It has a Manager, up to two
 * GPUs and jobs that run by a script; it touches no hardware. A process of its own, so that it can be killed
 * and come back. */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define MOCK_FIRST "0000:01:00.0"
#define MOCK_SECOND "0000:08:00.0"
#define MOCK_STEPS 3U
#define MOCK_JOB 7U                 /* id of the first job */

/* What a job does between its begin and its end. */
typedef enum MockPace {
        MOCK_RUN,                   /* all steps, at once */
        MOCK_HANG,                  /* the first step, then nothing until somebody cancels it */
        MOCK_NEVER_ANSWER,          /* the method call gets no answer, as when polkit waits for a password */
} MockPace;

/* What the first GPU is. */
typedef enum MockCard {
        MOCK_CARD_PLAIN,
        MOCK_CARD_FOUR,             /* four functions */
        MOCK_CARD_APU,              /* graphics of an AMD processor, the boot VGA */
        MOCK_CARD_RADEON,           /* of AMD, but no APU; its sound has a lower address */
        MOCK_CARD_LAPTOP,           /* no VGA, and with subsystem ids */
        MOCK_CARD_HOSTILE,          /* its name wants out of every language */
        MOCK_CARD_SENSELESS,        /* the address of a function is none */
        MOCK_CARD_TWICE,            /* two functions with the same address */
        MOCK_CARD_HEADLESS,         /* the display is not among the functions */
        MOCK_CARD_NINE,             /* nine functions */
        MOCK_CARD_ABSENT,           /* not on the bus, and nothing is known of it */
} MockCard;

/* What ReadRom answers with. */
typedef enum MockRom {
        MOCK_ROM_GOOD,              /* an image of MOCK_ROM_SIZE bytes for the card */
        MOCK_ROM_OTHER,             /* for another card, and with a wrong checksum */
        MOCK_ROM_BROKEN,            /* no image at all */
        MOCK_ROM_IN_USE,            /* InUse, unless forced */
} MockRom;

#define MOCK_ROM_SIZE 1024U

/* What PrepareSleep and FinishSleep do after they have begun a job of the host. */
typedef enum MockSleep {
        MOCK_SLEEP_ANSWER,
        MOCK_SLEEP_HANG,            /* no answer, ever */
        MOCK_SLEEP_DIE,             /* the daemon dies of it */
} MockSleep;

/* What LastSleep reads. */
typedef enum MockLastSleep {
        MOCK_LAST_SLEEP_NONE,
        MOCK_LAST_SLEEP_DONE,
        MOCK_LAST_SLEEP_VETOED,
        MOCK_LAST_SLEEP_FAILED,
        MOCK_LAST_SLEEP_BARE,       /* next to nothing, and that is not for a terminal */
} MockLastSleep;

typedef struct MockScript {
        unsigned n_gpus;
        const char *states[2];      /* NULL: "host" */
        const char *healths[2];     /* NULL: "degraded" */

        const char *refusal;        /* error name that answers Acquire and whatever starts a job, or NULL */
        MockPace pace;
        const char *refused_gpu;    /* the one that refusal and result are about, or NULL for both */
        const char *taken_for[2];   /* TakenFor of the GPUs, or NULL */
        const char *default_state;  /* Default of both, or NULL */
        bool joins_sleep;           /* VmPhase is answered with a job of the host, which hangs */
        const char *result;         /* NULL: "done" */
        const char *error, *message;
        bool refuse_cancel;

        /* a daemon that has been restarted over job MOCK_JOB: */
        bool job_goes_on;           /* it is there, and ends (as result says) once its properties have been read */
        bool job_is_last;           /* it ended as result says: property LastJob of the first GPU */

        bool check_fails;           /* Check finds something that fails */
        bool challenge;             /* Reload wants to ask for a password */
        bool lie;                   /* another connection sends a JobRemoved of its own before each job ends */
        MockCard card;
        MockRom rom;
        MockSleep sleep;
        const char *sleep_error;    /* error name that answers PrepareSleep and FinishSleep, or NULL */
        MockLastSleep last_sleep;
        const char *lease_dir;      /* where the FIFOs of leases are made, and the file "calls": a line for each VmPhase and Attach */
} MockScript;

/* Returns when it owns its name. It dies with the caller at the latest. */
pid_t mock_daemon_start(const MockScript *script);

/* SIGKILL, as a crash would be. */
void mock_daemon_kill(pid_t pid);
