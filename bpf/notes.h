/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * Changes of the note that a key of a table of counts.h has, for example to say that a process has exited. The host then takes the key with
 * its new note for another one that goes on where the first was: what was counted before stays in the series of the old note, which ends,
 * and what is counted from now on goes to that of the new one.
 *
 * NAME_describe(note, about), which the table has already, writes the note that belongs to `about`. A note is changed under a claim, so its bank
 * cannot get another owner meanwhile; and `check` does not fit until the note is complete, so the host passes the bank over until then.
 *
 *	CHANGE_NOTE(charges, struct owner, struct note)
 *
 *	charges_note_on(&key, about, cpu, 1)	the banks of so many CPUs, a constant; returns whether the table ends before the last one
 *	charges_note_shared(&key, about)		the entry that all CPUs share
 *
 * Cost: 8 lookups in an array for each CPU.
 */
#ifndef EBHOST_NOTES_H
#define EBHOST_NOTES_H

#include "ebhost/counts.h"

/* Tries to get the lock of the shared map. It is held for a few map operations, by a program that may have interrupted this one or runs on another CPU. */
#define NOTES_TRIES 16

#define CHANGE_NOTE(name, key_type, note_type)                                                               \
	COUNTS_UNUSED void name##_note_bank(struct name##_bank *bank, const union name##_key *own, void *about) \
	{                                                                                                    \
		u32 words = COUNTS_WORDS(key_type);                                                          \
                                                                                                             \
		if (!READ_ONCE(bank->head.check) || !bank_has(&bank->head, own->words, words) ||             \
		    !bank_claim(&bank->head, 1))                                                             \
			return;                                                                              \
		if (READ_ONCE(bank->head.check) && bank_has(&bank->head, own->words, words)) {               \
			name##_describe(&bank->note.note, about);                                            \
			barrier();                                                                           \
			WRITE_ONCE(bank->head.check,                                                         \
				   counts_check(own->words, words, bank->note.words, COUNTS_WORDS(note_type))); \
		}                                                                                            \
		__sync_fetch_and_add(&bank->head.word, -1);                                                  \
	}                                                                                                    \
                                                                                                             \
	COUNTS_UNUSED bool name##_note_on(const key_type *key, void *about, u32 first_cpu, u32 cpus)         \
	{                                                                                                    \
		u32 shift = name##_shift, last, start;                                                       \
		union name##_key own = {};                                                                   \
                                                                                                             \
		if (!shift)                                                                                  \
			return true;                                                                         \
		__builtin_memcpy(&own, key, sizeof(*key));                                                   \
		last = (1ull << (64 - shift)) - 1;                                                           \
		start = counts_start(own.words, COUNTS_WORDS(key_type), shift);                              \
		for (u32 i = 0; i < cpus; i++) {                                                             \
			u32 home = ((first_cpu + i) << (64 - shift)) + start;                                \
                                                                                                             \
			for (u32 probe = 0; probe < COUNTS_PROBES; probe++) {                                \
				struct name##_bank *bank = name##_bank_at(home, probe, last);                \
                                                                                                             \
				if (!bank)                                                                   \
					return true;                                                         \
				name##_note_bank(bank, &own, about);                                         \
			}                                                                                    \
		}                                                                                            \
		return false;                                                                                \
	}                                                                                                    \
                                                                                                             \
	COUNTS_UNUSED void name##_note_shared(const key_type *key, void *about)                              \
	{                                                                                                    \
		union name##_key own = {};                                                                   \
		struct name##_entry *entry;                                                                  \
		bool is_mine = false;                                                                        \
                                                                                                             \
		if (!name##_linked)                                                                          \
			return;                                                                              \
		__builtin_memcpy(&own, key, sizeof(*key));                                                   \
		for (u32 i = 0; i < NOTES_TRIES && !is_mine; i++)                                            \
			is_mine = counts_claim(&name##_claims);                                              \
		if (!is_mine)                                                                                \
			return;                                                                              \
		entry = bpf_map_lookup_elem(&name##_spill, &own);                                            \
		if (entry) {                                                                                 \
			name##_describe(&entry->note.note, about);                                           \
			barrier();                                                                           \
			WRITE_ONCE(entry->head.check, counts_check(own.words, COUNTS_WORDS(key_type),        \
								   entry->note.words, COUNTS_WORDS(note_type))); \
		}                                                                                            \
		__sync_fetch_and_add(&name##_claims, -1);                                                    \
	}

#endif
