/*
 * Parser of the package's `config`, which is passed as JSON: an object whose values are lists of strings, strings, whole numbers, true or
 * false. Unknown keys are refused, so that a misspelt one is reported when the package is loaded.
 */
#ifndef CONFIG_H
#define CONFIG_H

#include <ctype.h>
#include <stdio.h>

#include "ebhost.h"

typedef struct {
	text_t *ptr;
	size_t len;
} texts_t;

/* A known key, and where its value goes: `{ .name = "disks", .texts = &disks }`. */
struct key_of_config {
	const char *name;
	texts_t *texts;
	text_t *text;
	int64_t *number;
	bool *flag;
};

struct config_reader {
	const char *at, *end;
};

static inline bool config_takes(struct config_reader *reader, char wanted)
{
	while (reader->at < reader->end && isspace((unsigned char)*reader->at))
		reader->at++;
	if (reader->at == reader->end || *reader->at != wanted)
		return false;
	reader->at++;
	return true;
}

/* A string. Only quotes, backslashes and slashes may be escaped. */
static inline bool config_text(struct config_reader *reader, text_t *text)
{
	char *bytes = allocate(reader->end - reader->at + 1, 1);
	size_t length = 0;
	bool is_text = config_takes(reader, '"');

	while (is_text && reader->at < reader->end && *reader->at != '"') {
		if (*reader->at == '\\' && ++reader->at < reader->end && !strchr("\"\\/", *reader->at))
			break;
		bytes[length++] = *reader->at++;
	}
	is_text = is_text && config_takes(reader, '"');
	*text = is_text ? text_of(bytes, length) : (text_t){ 0 };
	free(bytes);
	return is_text;
}

static inline bool config_texts(struct config_reader *reader, texts_t *texts)
{
	texts->len = 0;
	if (!config_takes(reader, '['))
		return false;
	if (config_takes(reader, ']'))
		return true;
	do {
		texts->ptr = with_room(texts->ptr, texts->len, sizeof(text_t));
		if (!config_text(reader, &texts->ptr[texts->len]))
			return false;
		texts->len++;
	} while (config_takes(reader, ','));
	return config_takes(reader, ']');
}

/* A whole number, with at most 18 digits. */
static inline bool config_number(struct config_reader *reader, int64_t *number)
{
	bool is_negative = config_takes(reader, '-');
	size_t digits = 0;

	for (*number = 0; reader->at < reader->end && isdigit((unsigned char)*reader->at); reader->at++, digits++)
		if (digits < 18)
			*number = *number * 10 + (*reader->at - '0');
	if (is_negative)
		*number = -*number;
	return digits > 0 && digits <= 18;
}

static inline bool config_flag(struct config_reader *reader, bool *flag)
{
	size_t left;

	while (reader->at < reader->end && isspace((unsigned char)*reader->at))
		reader->at++;
	left = reader->end - reader->at;
	*flag = left >= 4 && !memcmp(reader->at, "true", 4);
	if (!*flag && !(left >= 5 && !memcmp(reader->at, "false", 5)))
		return false;
	reader->at += *flag ? 4 : 5;
	return true;
}

/* The value of a known key. */
static inline bool config_value(struct config_reader *reader, const struct key_of_config *key)
{
	if (key->texts)
		return config_texts(reader, key->texts);
	if (key->text)
		return config_text(reader, key->text);
	if (key->number)
		return config_number(reader, key->number);
	return config_flag(reader, key->flag);
}

/* The kind that a key's value has to have, for messages. */
static inline const char *config_kind(const struct key_of_config *key)
{
	if (key->texts)
		return "a list of texts";
	if (key->text)
		return "a text";
	return key->number ? "a whole number" : "true or false";
}

/* Returns false if it is not such an object; `refusal` says why. */
static inline bool read_config(text_t config, const struct key_of_config *keys, size_t count, text_t *refusal)
{
	struct config_reader reader = { (const char *)config.ptr, (const char *)config.ptr + config.len };
	char why[256];
	text_t name;

	if (!config_takes(&reader, '{')) {
		*refusal = text("config: expected an object");
		return false;
	}
	if (config_takes(&reader, '}'))
		return true;
	do {
		size_t key = 0;

		if (!config_text(&reader, &name) || !config_takes(&reader, ':'))
			break;
		while (key < count && (strlen(keys[key].name) != name.len || memcmp(keys[key].name, name.ptr, name.len)))
			key++;
		if (key == count || !config_value(&reader, &keys[key])) {
			snprintf(why, sizeof(why), "config: found the key `%.*s`%s%s", (int)name.len, (char *)name.ptr,
				 key == count ? ", expected none of that name" : " with another value than ",
				 key == count ? "" : config_kind(&keys[key]));
			*refusal = text(why);
			return false;
		}
		free(name.ptr);
	} while (config_takes(&reader, ','));
	if (config_takes(&reader, '}'))
		return true;
	*refusal = text("config: expected an object whose keys have texts, lists of texts, whole numbers, true or false");
	return false;
}

static inline bool contains(const texts_t *texts, text_t wanted)
{
	for (size_t at = 0; at < texts->len; at++)
		if (texts->ptr[at].len == wanted.len && memcmp(texts->ptr[at].ptr, wanted.ptr, wanted.len) == 0)
			return true;
	return false;
}

#endif
