/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* config-values: a row of the tables in config.c, and the parsers that can stand in it, one for each kind of value.
 * For config.c alone. */

#include <stddef.h>

typedef struct Setting Setting;

/* Puts the value (empty: the default) into config, a Config or a GpuConfig. 0, -ENOMEM, or -EINVAL for a bad value.
 * */
typedef int setting_parse_t(const Setting *s, const char *value, void *config);

struct Setting {
        const char *section, *key;
        setting_parse_t *parse;
        size_t offset;     /* of the field in the config */
        unsigned min, max; /* of numbers */
        unsigned fallback; /* the default of numbers, booleans and enums */
        size_t given;      /* of a bool in the config: whether the key has a value; 0: that is not noted */
};

/* Text. */
setting_parse_t setting_parse_name, setting_parse_driver, setting_parse_default_state;
/* [Match]; the last three know their fields. */
setting_parse_t setting_parse_address, setting_parse_path, setting_parse_vendor, setting_parse_device,
        setting_parse_subsystem;
/* Lists of words, to which a further assignment adds. */
setting_parse_t setting_parse_functions, setting_parse_rungs, setting_parse_before_vfio, setting_parse_units,
        setting_parse_xorg_files, setting_parse_programs;
/* One word of an enum. */
setting_parse_t setting_parse_after_vm, setting_parse_idle_power, setting_parse_last_display, setting_parse_desktops;
setting_parse_t setting_parse_vm_policy, setting_parse_gpu_sleep_policy, setting_parse_sleep_error_policy,
        setting_parse_lid_policy, setting_parse_hook_error_policy;
/* systemd's words for yes and no. */
setting_parse_t setting_parse_boolean;
/* Numbers; seconds may have units: "2min 30s". */
setting_parse_t setting_parse_unsigned, setting_parse_sec;
