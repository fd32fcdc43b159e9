/* Digits are written into one text of fixed size, so that making a document costs next to nothing.
 */
#include "workload.h"

#include <stdio.h>
#include <string.h>

#define KEY_DIGITS (WORKLOAD_KEY_SIZE - 1)
#define NUMBER_DIGITS 10
#define ID_DIGITS 12
#define LAST_KEY 9999999999U
#define NOBODYS_KEY 5000000000U
#define SPREAD 2654435761U /* a large prime: neighbours get keys that are far apart */

static void put_digits(char *place, size_t count, uint64_t number)
{
	while (count > 0) {
		place[--count] = (char)('0' + number % 10);
		number /= 10;
	}
}

bool workload_is_last(const struct workload_shape *shape, uint64_t number)
{
	return number + 1 == shape->warm_up || number + 1 == shape->warm_up + shape->events;
}

uint64_t workload_allowed(const struct workload_shape *shape, uint64_t number)
{
	uint64_t end = number < shape->warm_up ? shape->warm_up : shape->warm_up + shape->events;
	return shape->ahead > 0 && end - number > shape->ahead ? number + shape->ahead : end;
}

uint32_t workload_ids_per_delivery(const struct workload_shape *shape)
{
	return shape->fan_out > shape->gateways ? shape->fan_out / shape->gateways : 1;
}

uint32_t workload_per_gateway(const struct workload_shape *shape)
{
	uint32_t together = workload_ids_per_delivery(shape);
	return shape->subscriptions / shape->gateways / together * together;
}

/* Gateways that a change goes to: they have the same keys, and others have others. */
static uint32_t spread_of(const struct workload_shape *shape)
{
	uint32_t wanted = shape->fan_out > 0 ? shape->fan_out : 1;
	return wanted < shape->gateways ? wanted : shape->gateways;
}

static uint32_t keys_of_gateway(const struct workload_shape *shape)
{
	return workload_per_gateway(shape) / workload_ids_per_delivery(shape);
}

/* Keys are numbered: those of the first gateways that share theirs, then those of the next, ... */
static uint32_t keys_count(const struct workload_shape *shape)
{
	return keys_of_gateway(shape) * (shape->gateways / spread_of(shape));
}

const char *workload_problem(const struct workload_shape *shape)
{
	if (shape->gateways % spread_of(shape) != 0 || shape->fan_out % spread_of(shape) != 0) {
		return "a fan-out that the number of gateways can be divided by, or that can be "
		       "divided by it";
	}
	if (keys_of_gateway(shape) == 0) {
		return "at least as many subscriptions as an event matches, and as gateways";
	}
	return shape->stalled < shape->gateways ? NULL : "fewer stalled gateways than gateways";
}

static uint32_t key_of(const struct workload_shape *shape, uint64_t number)
{
	return (uint32_t)(number * SPREAD % keys_count(shape));
}

void workload_key(const struct workload_shape *shape, uint32_t gateway, uint32_t index,
	char ret_key[WORKLOAD_KEY_SIZE + 1])
{
	uint32_t own = workload_per_gateway(shape);
	uint64_t key = (uint64_t)(gateway / spread_of(shape)) * keys_of_gateway(shape) +
		index / workload_ids_per_delivery(shape);
	ret_key[0] = 'k';
	put_digits(ret_key + 1, KEY_DIGITS, index == own ? LAST_KEY : key);
	ret_key[WORKLOAD_KEY_SIZE] = '\0';
}

void workload_id(const struct workload_shape *shape, uint32_t gateway, uint32_t index,
	char ret_id[WORKLOAD_ID_SIZE + 1])
{
	memcpy(ret_id, "00000000-0000-4000-8000-000000000000", WORKLOAD_ID_SIZE + 1);
	uint64_t place = (uint64_t)gateway * (workload_per_gateway(shape) + 1) + index;
	put_digits(ret_id + WORKLOAD_ID_SIZE - ID_DIGITS, ID_DIGITS, place);
}

uint32_t workload_index(const struct workload_shape *shape, uint32_t gateway, struct bytes id)
{
	uint64_t place = 0;
	if (id.size != WORKLOAD_ID_SIZE) {
		return UINT32_MAX;
	}
	for (size_t i = WORKLOAD_ID_SIZE - ID_DIGITS; i < WORKLOAD_ID_SIZE; i++) {
		place = place * 10 + (uint64_t)(id.data[i] - '0');
	}
	return (uint32_t)(place - (uint64_t)gateway * (workload_per_gateway(shape) + 1));
}

bool workload_reaches(const struct workload_shape *shape, uint32_t gateway, uint64_t number,
	uint32_t *ret_index, uint32_t *ret_count)
{
	if (workload_is_last(shape, number)) {
		*ret_index = workload_per_gateway(shape);
		*ret_count = 1;
		return true;
	}
	uint32_t own = keys_of_gateway(shape);
	uint32_t key = key_of(shape, number);
	uint32_t first = gateway / spread_of(shape) * own;
	if (shape->fan_out == 0 || key < first || key - first >= own) {
		return false;
	}
	*ret_count = workload_ids_per_delivery(shape);
	*ret_index = (key - first) * *ret_count;
	return true;
}

double workload_deliveries_per_event(const struct workload_shape *shape)
{
	return shape->fan_out == 0 ? 0 : spread_of(shape);
}

/* ---- documents ------------------------------------------------------------------------------- */

void workload_init(struct workload *workload, const struct workload_shape *shape)
{
	static const char head[] =
		"{\"id\":\"default:00000000000000000000000000000000\",\"database\":\"default\","
		"\"collection\":\"" WORKLOAD_COLLECTION
		"\",\"collectionHash\":\"2c93535c2e41605e84fbe930afd0b602\","
		"\"updatedAt\":1767225600000,\"createdAt\":1767225600000,\"version\":1,"
		"\"data\":{\"id\":\"item-0000000000\",\"key\":\"k0000000000\",\"kind\":\"text\","
		"\"rank\":7,\"author\":{\"name\":\"Ada\",\"verified\":true},\"tags\":[\"a\","
		"\"b\"],\"text\":\"";
	static const char tail[] = "\"}}";
	*workload = (struct workload){.shape = *shape};
	memset(workload->document, '.', WORKLOAD_DOCUMENT_BYTES);
	memcpy(workload->document, head, sizeof(head) - 1);
	memcpy(workload->document + WORKLOAD_DOCUMENT_BYTES - (sizeof(tail) - 1), tail,
		sizeof(tail));
	workload->id_place = strstr(workload->document, "default:") + strlen("default:");
	workload->number_place = strstr(workload->document, "item-") + strlen("item-");
	workload->key_place = strstr(workload->document, "\"k0") + strlen("\"k");
	memcpy(workload->store_id, workload->id_place - strlen("default:"), 40);
}

enum err workload_next(void *ctx, uint64_t number, int64_t now_ms, struct model_change *change)
{
	struct workload *workload = ctx;
	const struct workload_shape *shape = &workload->shape;
	uint64_t key = key_of(shape, number);
	if (workload_is_last(shape, number)) {
		key = LAST_KEY;
	} else if (shape->fan_out == 0) {
		key += NOBODYS_KEY;
	}
	(void)now_ms;
	put_digits(workload->id_place, 32, number);
	put_digits(workload->store_id + strlen("default:"), 32, number);
	put_digits(workload->number_place, NUMBER_DIGITS, number);
	put_digits(workload->key_place, KEY_DIGITS, key);
	change->kind = MODEL_CHANGE_INSERT;
	change->store_id = (struct bytes){workload->store_id, 40};
	change->full_document = (struct bytes){workload->document, WORKLOAD_DOCUMENT_BYTES};
	return OK;
}
