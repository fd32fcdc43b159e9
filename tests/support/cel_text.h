/*
 * Condition trees from a notation of their own, so that a test's table shows what it is about:
 *   (and (== room "a") (not (in n.x [1, 2])) (or) true)
 * A comparison is (operator field constant): the field split at every '.', `_id` the document id,
 * the constant JSON, of (has field) none. A mistake in the notation fails the test.
 */
#ifndef TEST_CEL_TEXT_H
#define TEST_CEL_TEXT_H

#include "condition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { CEL_TEXT_MANY = 64 };

struct cel_reader {
	struct arena *arena;
	const char *at;
};

static inline const struct value *cel_text_value(struct arena *arena, struct bytes text)
{
	const struct value *value = NULL;
	struct err_info info;
	if (json_parse(text, 1000, arena, &value, &info) != OK) {
		fail_msg("%.*s: %s", BYTES_FORMAT(text), info.text);
	}
	return value;
}

static inline struct cel_field cel_text_field(struct arena *arena, struct bytes path)
{
	if (bytes_equal(path, bytes_of("_id"))) {
		return (struct cel_field){.root = CEL_ID};
	}
	struct bytes *parts = arena_alloc(arena, CEL_TEXT_MANY * sizeof(*parts));
	assert_non_null(parts);
	uint32_t count = 0;
	size_t start = 0;
	for (size_t i = 0; i <= path.size; i++) {
		if (i == path.size || path.data[i] == '.') {
			assert_true(count < CEL_TEXT_MANY);
			parts[count++] = (struct bytes){path.data + start, i - start};
			start = i + 1;
		}
	}
	return (struct cel_field){CEL_DOCUMENT, count, parts};
}

static inline enum cel_kind cel_text_kind(struct bytes word)
{
	static const char *const words[] = {
		[CEL_AND] = "and",
		[CEL_OR] = "or",
		[CEL_NOT] = "not",
		[CEL_SAME] = "same",
		[CEL_EQUAL] = "==",
		[CEL_NOT_EQUAL] = "!=",
		[CEL_LESS] = "<",
		[CEL_LESS_OR_EQUAL] = "<=",
		[CEL_GREATER] = ">",
		[CEL_GREATER_OR_EQUAL] = ">=",
		[CEL_IN] = "in",
		[CEL_CONTAINS] = "contains",
		[CEL_STARTS_WITH] = "startsWith",
		[CEL_HAS] = "has",
	};
	for (int kind = CEL_AND; kind <= CEL_HAS; kind++) {
		if (bytes_equal(word, bytes_of(words[kind]))) {
			return (enum cel_kind)kind;
		}
	}
	fail_msg("no operator: %.*s", BYTES_FORMAT(word));
	return CEL_TRUE;
}

static inline void cel_text_space(struct cel_reader *reader)
{
	reader->at += strspn(reader->at, " ");
}

static inline struct bytes cel_text_word(struct cel_reader *reader)
{
	size_t size = strcspn(reader->at, " ()");
	struct bytes word = {reader->at, size};
	reader->at += size;
	cel_text_space(reader);
	return word;
}

/* The JSON up to the ')' that ends the comparison. */
static inline struct bytes cel_text_constant(struct cel_reader *reader)
{
	const char *start = reader->at;
	bool in_string = false;
	for (; *reader->at && (in_string || *reader->at != ')'); reader->at++) {
		if (in_string && *reader->at == '\\') {
			reader->at++;
		} else if (*reader->at == '"') {
			in_string = !in_string;
		}
	}
	return (struct bytes){start, (size_t)(reader->at - start)};
}

static inline const struct cel_node *cel_text_read(struct cel_reader *reader)
{
	const struct cel_node *node = NULL;
	cel_text_space(reader);
	if (*reader->at != '(') {
		assert_true(bytes_equal(cel_text_word(reader), bytes_of("true")));
		assert_int_equal(cel_true(reader->arena, &node), OK);
		return node;
	}
	reader->at++;
	enum cel_kind kind = cel_text_kind(cel_text_word(reader));
	if (kind >= CEL_EQUAL) {
		struct cel_field field = cel_text_field(reader->arena, cel_text_word(reader));
		const struct value *constant = kind == CEL_HAS
			? NULL
			: cel_text_value(reader->arena, cel_text_constant(reader));
		struct err_info info;
		if (cel_compare(reader->arena, kind, &field, constant, &info, &node) != OK) {
			fail_msg("%s", info.text);
		}
	} else {
		const struct cel_node *children[CEL_TEXT_MANY];
		size_t count = 0;
		for (; *reader->at != ')'; cel_text_space(reader)) {
			assert_true(count < CEL_TEXT_MANY);
			children[count++] = cel_text_read(reader);
		}
		assert_int_equal(cel_join(reader->arena, kind, children, count, &node), OK);
	}
	assert_int_equal(*reader->at, ')');
	reader->at++;
	return node;
}

static inline const struct cel_node *cel_text(struct arena *arena, const char *text)
{
	struct cel_reader reader = {arena, text};
	const struct cel_node *node = cel_text_read(&reader);
	assert_string_equal(reader.at, "");
	return node;
}

/* 'T', 'F' or 'E' for an error. */
static inline char cel_text_outcome(const struct cel_node *node, const struct cel_input *input)
{
	return "FTE"[cel_evaluate(node, input)];
}

#endif
