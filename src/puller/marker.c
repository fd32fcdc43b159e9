/*
 * Event ids, and markers: base64url without padding of {"p":{"<backend>":"<event id>"}}, backends
 * in the order of their names. As the original reads them: unknown members are passed over, a
 * missing or null "p" names nothing.
 */
#include "puller_priv.h"
#include "value.h"

#include <string.h>

#define MARKER_DEPTH_MAX 16

/* ---- event ids ------------------------------------------------------------------------------- */

/* A 32-bit number and the '-' behind it. */
static bool take_number(struct bytes *rest, uint32_t *ret_number)
{
	uint64_t number = 0;
	size_t at = 0;
	while (at < rest->size && rest->data[at] >= '0' && rest->data[at] <= '9') {
		number = number * 10 + (uint64_t)(rest->data[at] - '0');
		if (number > UINT32_MAX) {
			return false;
		}
		at++;
	}
	if (at == 0 || at == rest->size || rest->data[at] != '-') {
		return false;
	}
	*rest = (struct bytes){rest->data + at + 1, rest->size - at - 1};
	*ret_number = (uint32_t)number;
	return true;
}

bool puller_event_id_parse(struct bytes text, struct puller_event_id *ret_id)
{
	struct puller_event_id id;
	struct bytes rest = text;
	if (!take_number(&rest, &id.seconds)) {
		return false;
	}
	id.tail = (struct bytes){rest.data - 1, rest.size + 1};
	if (!take_number(&rest, &id.increment) || rest.size == 0) {
		return false;
	}
	*ret_id = id;
	return true;
}

/* ---- base64url ------------------------------------------------------------------------------- */

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static enum err base64_append(struct buffer *buffer, struct bytes bytes)
{
	enum err err = buffer_reserve(buffer, bytes.size / 3 * 4 + 4);
	if (err) {
		return err;
	}
	for (size_t at = 0; at < bytes.size; at += 3) {
		size_t left = bytes.size - at;
		uint32_t bits = 0;
		for (size_t i = 0; i < 3; i++) {
			bits = bits << 8 | (i < left ? (unsigned char)bytes.data[at + i] : 0);
		}
		for (size_t i = 0; i < 4 && i <= left; i++) {
			buffer->data[buffer->size++] = digits[bits >> (18 - 6 * i) & 63];
		}
	}
	return OK;
}

static enum err base64_decode(struct bytes text, struct arena *arena, struct bytes *ret_bytes)
{
	char *data = arena_alloc(arena, text.size / 4 * 3 + 3);
	if (!data) {
		return ERR_MEMORY;
	}
	uint32_t bits = 0;
	size_t size = 0;
	for (size_t i = 0; i < text.size; i++) {
		const char *digit = text.data[i] ? strchr(digits, text.data[i]) : NULL;
		if (!digit) {
			return ERR_CORRUPT;
		}
		bits = bits << 6 | (uint32_t)(digit - digits);
		if (i % 4 != 0) {
			data[size++] = (char)(bits >> (6 - 2 * (i % 4)) & 255);
		}
	}
	if (text.size % 4 == 1) {
		return ERR_CORRUPT;
	}
	*ret_bytes = (struct bytes){data, size};
	return OK;
}

/* ---- progress -------------------------------------------------------------------------------- */

void puller_progress_fini(struct puller_progress *progress)
{
	for (size_t i = 0; i < progress->count; i++) {
		buffer_fini(&progress->points[i].backend);
		buffer_fini(&progress->points[i].event_id);
	}
	mem_free(progress->points);
	buffer_fini(&progress->json);
	*progress = (struct puller_progress){0};
}

/* A new point at its place in the order. */
static enum err insert(struct puller_progress *progress, size_t place, struct bytes backend,
	struct puller_point **ret_point)
{
	if (progress->count == PULLER_BACKENDS_MAX) {
		return ERR_LIMIT;
	}
	struct puller_point point = {0};
	enum err err = buffer_append(&point.backend, backend);
	if (err) {
		return err;
	}
	size_t size = (progress->count + 1) * sizeof point;
	struct puller_point *points = mem_realloc(progress->points, size);
	if (!points) {
		buffer_fini(&point.backend);
		return ERR_MEMORY;
	}
	memmove(points + place + 1, points + place, (progress->count - place) * sizeof point);
	points[place] = point;
	progress->points = points;
	progress->count++;
	*ret_point = &points[place];
	return OK;
}

enum err puller_progress_set(
	struct puller_progress *progress, struct bytes backend, struct bytes event_id)
{
	struct puller_point *point = NULL;
	size_t place = 0;
	int order = 1;
	while (place < progress->count) {
		point = &progress->points[place];
		order = bytes_compare(buffer_bytes(&point->backend), backend);
		if (order >= 0) {
			break;
		}
		place++;
	}
	if (place == progress->count || order > 0) {
		enum err err = insert(progress, place, backend, &point);
		if (err) {
			return err;
		}
	}
	point->event_id.size = 0;
	return buffer_append(&point->event_id, event_id);
}

static enum err print_json(struct puller_progress *progress)
{
	struct buffer *json = &progress->json;
	json->size = 0;
	enum err err = buffer_append_text(json, progress->count > 0 ? "{\"p\":{" : "{");
	for (size_t i = 0; i < progress->count && !err; i++) {
		const struct puller_point *point = &progress->points[i];
		err = i > 0 ? buffer_append_text(json, ",") : OK;
		err = err ? err : json_print_string(json, buffer_bytes(&point->backend));
		err = err ? err : buffer_append_text(json, ":");
		err = err ? err : json_print_string(json, buffer_bytes(&point->event_id));
	}
	return err ? err : buffer_append_text(json, progress->count > 0 ? "}}" : "}");
}

enum err puller_progress_print(struct puller_progress *progress, struct buffer *buffer)
{
	enum err err = print_json(progress);
	return err ? err : base64_append(buffer, buffer_bytes(&progress->json));
}

static enum err take_points(
	const struct value *json, struct puller_progress *progress, struct err_info *info)
{
	bool is_object = json->kind == VALUE_OBJECT;
	const struct value *points = is_object ? value_member(json, bytes_of("p")) : NULL;
	if (json->kind == VALUE_NULL || (is_object && (!points || points->kind == VALUE_NULL))) {
		return OK;
	}
	if (!points || points->kind != VALUE_OBJECT) {
		return err_set(info, ERR_CORRUPT, 0, "%s is no object", points ? "\"p\"" : "it");
	}
	const struct value *name = points + 1;
	for (uint32_t i = 0; i < points->size; i++) {
		const struct value *event_id = name + 1;
		if (event_id->kind != VALUE_STRING) {
			return err_set(info, ERR_CORRUPT, 0, "the event id of \"%.*s\" is a %s",
				BYTES_FORMAT(value_text(name)), value_kind_name(event_id->kind));
		}
		enum err err =
			puller_progress_set(progress, value_text(name), value_text(event_id));
		if (err) {
			return err_set(info, err, 0, "%s",
				err == ERR_LIMIT ? "it names too many backends" : err_text(err));
		}
		name = value_after(event_id);
	}
	return OK;
}

enum err puller_progress_parse(
	struct bytes marker, struct puller_progress *progress, struct err_info *info)
{
	struct arena arena = {0};
	struct bytes text = {0};
	const struct value *json = NULL;
	enum err err = base64_decode(marker, &arena, &text);
	if (err) {
		(void)err_set(info, err, 0, "%s",
			err == ERR_CORRUPT ? "it is no base64url without padding" : err_text(err));
	} else {
		err = json_parse(text, MARKER_DEPTH_MAX, &arena, &json, info);
	}
	if (!err) {
		err = take_points(json, progress, info);
	}
	arena_fini(&arena);
	return err;
}

/* ---- markers for others ---------------------------------------------------------------------- */

enum err puller_marker_print(struct buffer *buffer, struct bytes backend, struct bytes event_id)
{
	struct puller_progress progress = {0};
	enum err err = puller_progress_set(&progress, backend, event_id);
	if (!err) {
		err = puller_progress_print(&progress, buffer);
	}
	puller_progress_fini(&progress);
	return err;
}

enum err puller_marker_parse(
	struct bytes marker, struct bytes backend, struct arena *arena, struct bytes *ret_event_id)
{
	struct puller_progress progress = {0};
	struct bytes found = {0};
	enum err err = puller_progress_parse(marker, &progress, NULL);
	for (size_t i = 0; i < progress.count && !err && !found.data; i++) {
		const struct puller_point *point = &progress.points[i];
		if (bytes_equal(buffer_bytes(&point->backend), backend)) {
			found = arena_copy(arena, buffer_bytes(&point->event_id));
			err = found.data ? OK : ERR_MEMORY;
		}
	}
	puller_progress_fini(&progress);
	if (!err && !found.data) {
		return ERR_NOT_FOUND;
	}
	if (!err) {
		*ret_event_id = found;
	}
	return err;
}
