/*
 * A contiguous queue of bytes. What stands in it is moved only when at least as many bytes have
 * left, so a byte is moved about once; the price is a capacity of up to twice what is ever in it.
 */
#include "grpc_priv.h"

#include <string.h>

#define CAPACITY_LEAST 4096
#define CALM_MOST 8

void grpc_lent_fini(struct grpc_lent *lent)
{
	mem_free(lent->data);
	*lent = (struct grpc_lent){0};
}

static void give_back(struct grpc_send *send)
{
	struct grpc_lent *lent = send->lent;
	if (lent && send->capacity > lent->capacity && send->capacity <= send->keep) {
		grpc_lent_fini(lent);
		lent->data = send->data;
		lent->capacity = send->capacity;
	} else {
		mem_free(send->data);
	}
	send->data = NULL;
	send->capacity = 0;
	send->start = 0;
	send->end = 0;
	send->peak = 0;
	send->calm = 0;
}

void grpc_send_fini(struct grpc_send *send)
{
	check(send->framed == 0);
	give_back(send);
}

enum err grpc_send_new(struct grpc_call *call, size_t keep, struct grpc_send **ret_send)
{
	struct grpc_send *send = mem_calloc(1, sizeof(*send));
	if (!send) {
		return ERR_MEMORY;
	}
	send->call = call;
	send->keep = keep;
	*ret_send = send;
	return OK;
}

void grpc_send_free(struct grpc_send *send)
{
	if (send) {
		grpc_send_fini(send);
		mem_free(send);
	}
}

size_t grpc_send_unframed(const struct grpc_send *send)
{
	return grpc_send_size(send) - send->framed;
}

void grpc_send_drop(struct grpc_send *send)
{
	send->end = send->start + send->framed;
	if (send->framed == 0) {
		give_back(send);
	}
}

void grpc_send_leave(struct grpc_send *send)
{
	grpc_send_drop(send);
	send->call = NULL;
	if (send->framed == 0) {
		grpc_send_free(send);
	}
}

size_t grpc_send_size(const struct grpc_send *send)
{
	return send->end - send->start;
}

static void borrow(struct grpc_send *send)
{
	send->data = send->lent->data;
	send->capacity = send->lent->capacity;
	*send->lent = (struct grpc_lent){0};
}

enum err grpc_send_reserve(struct grpc_send *send, size_t size)
{
	size_t used = grpc_send_size(send);
	if (!send->data && send->lent) {
		borrow(send);
	}
	check(send->data || used == 0);
	if (send->capacity - send->end >= size) {
		return OK;
	}
	if (send->start >= used && send->capacity - used >= size) {
		if (used > 0) {
			memmove(send->data, send->data + send->start, used);
		}
		send->start = 0;
		send->end = used;
		return OK;
	}
	if (size > SIZE_MAX / 4 - used) {
		return ERR_MEMORY;
	}
	size_t capacity = send->capacity < CAPACITY_LEAST ? CAPACITY_LEAST : send->capacity;
	if (used == 0 && size > 2 * capacity) {
		capacity = size; /* one large message, gone with it */
	}
	while (capacity - used < size) {
		capacity *= 2;
	}
	if (capacity == send->capacity) {
		capacity *= 2; /* room enough, but moving the bytes now would be dear */
	}
	char *data = mem_alloc(capacity);
	if (!data) {
		return ERR_MEMORY;
	}
	if (used > 0) {
		memcpy(data, send->data + send->start, used);
	}
	mem_free(send->data);
	send->data = data;
	send->capacity = capacity;
	send->start = 0;
	send->end = used;
	return OK;
}

void grpc_send_add(struct grpc_send *send, size_t size)
{
	check(send->capacity - send->end >= size);
	send->end += size;
	if (grpc_send_size(send) > send->peak) {
		send->peak = grpc_send_size(send);
	}
}

void grpc_send_remove(struct grpc_send *send, size_t size)
{
	check(grpc_send_size(send) >= size);
	send->start += size;
	if (send->start < send->end) {
		return;
	}
	bool is_calm = send->capacity > CAPACITY_LEAST && send->peak < send->capacity / 4;
	send->calm = is_calm ? send->calm + 1 : 0;
	send->start = 0;
	send->end = 0;
	send->peak = 0;
	if (send->lent || send->capacity > send->keep || send->calm > CALM_MOST) {
		give_back(send);
	}
}
