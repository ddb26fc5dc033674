/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* list: an intrusive doubly linked list. A host has a handful of GPUs and jobs, so linear search is all it needs. */

#define LIST_HEAD(t, name) t *name
#define LIST_FIELDS(t, name) t *name##_next, *name##_prev

#define LIST_APPEND(name, head, item)                                                    \
        do {                                                                             \
                typeof(*(head)) **_h_ = &(head), *_i_ = (item), *_t_ = *_h_;             \
                while (_t_ && _t_->name##_next)                                          \
                        _t_ = _t_->name##_next;                                          \
                _i_->name##_prev = _t_;                                                  \
                _i_->name##_next = NULL;                                                 \
                if (_t_)                                                                 \
                        _t_->name##_next = _i_;                                          \
                else                                                                     \
                        *_h_ = _i_;                                                      \
        } while (false)

#define LIST_REMOVE(name, head, item)                                                    \
        do {                                                                             \
                typeof(*(head)) **_h_ = &(head), *_i_ = (item);                          \
                if (_i_->name##_next)                                                    \
                        _i_->name##_next->name##_prev = _i_->name##_prev;                \
                if (_i_->name##_prev)                                                    \
                        _i_->name##_prev->name##_next = _i_->name##_next;                \
                else if (*_h_ == _i_)                                                    \
                        *_h_ = _i_->name##_next;                                         \
                _i_->name##_next = _i_->name##_prev = NULL;                              \
        } while (false)

/* The loop variable must not be freed in the body; use LIST_FOREACH_SAFE for that. */
#define LIST_FOREACH(name, i, head) for (typeof(*(head)) *i = (head); i; i = i->name##_next)
#define LIST_FOREACH_SAFE(name, i, head)                                                 \
        for (typeof(*(head)) *i = (head), *_n_##i = i ? i->name##_next : NULL; i;        \
             i = _n_##i, _n_##i = i ? i->name##_next : NULL)
