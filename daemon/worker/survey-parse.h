/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* survey-parse: what a survey takes from the text of configuration files and of the kernel's lists. Pure, and for texts
 * that anybody may have written. Texts are taken apart in place. -ENOMEM, or -E2BIG where the survey is full. */

#include "survey.h"

/* modprobe.d(5): blacklist, install, alias, options, softdep. */
int survey_parse_modprobe(Survey *s, const char *file, char *text);
/* One module a line, with options or without: modules-load.d(5), /etc/modules, initramfs-tools. */
int survey_parse_load(Survey *s, const char *file, char *text);
/* Shell lists: MODULES=(…) of mkinitcpio.conf(5), add_drivers+= and force_drivers+= of dracut.conf(5). */
int survey_parse_initramfs(Survey *s, const char *file, char *text);
/* BusID and Driver of every section Device of xorg.conf(5). */
int survey_parse_xorg(Survey *s, const char *file, char *text);

/* Whether modules.dep(5) (or modules.builtin) has the module, named with underscores. */
bool survey_list_has_module(const char *text, const char *name);
/* The size of BAR `index` by the text of sysfs `resource`; 0 if it has none. */
uint64_t survey_bar_size(const char *text, unsigned index);
/* Whether reserved_regions of an IOMMU group has a mapping that the firmware wants and the kernel may not lift. */
bool survey_has_direct_region(const char *text);
