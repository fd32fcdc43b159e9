/* A position as bytes: the version, then the numbers of the struct, the highest byte first. */
#include "model.h"

#define VERSION 1

static void put(char **place, uint64_t integer, size_t size)
{
	for (size_t i = size; i > 0; i--) {
		*(*place)++ = (char)(integer >> (8 * (i - 1)) & 0xFFU);
	}
}

static uint64_t take(const char **place, size_t size)
{
	uint64_t integer = 0;
	for (size_t i = 0; i < size; i++) {
		integer = integer << 8 | (unsigned char)*(*place)++;
	}
	return integer;
}

void model_position_write(
	const struct model_position *position, char ret_bytes[MODEL_POSITION_SIZE])
{
	char *place = ret_bytes;
	*place++ = VERSION;
	put(&place, position->epoch, 8);
	put(&place, position->sequence, 8);
	put(&place, position->backend_hash, 8);
	put(&place, position->cluster_seconds, 4);
	put(&place, position->cluster_increment, 4);
	put(&place, position->event_id_hash, 8);
	debug_check(place - ret_bytes == MODEL_POSITION_SIZE);
}

enum err model_position_read(struct bytes bytes, struct model_position *ret_position)
{
	if (bytes.size != MODEL_POSITION_SIZE || bytes.data[0] != VERSION) {
		return ERR_CORRUPT;
	}
	const char *place = bytes.data + 1;
	ret_position->epoch = take(&place, 8);
	ret_position->sequence = take(&place, 8);
	ret_position->backend_hash = take(&place, 8);
	ret_position->cluster_seconds = (uint32_t)take(&place, 4);
	ret_position->cluster_increment = (uint32_t)take(&place, 4);
	ret_position->event_id_hash = take(&place, 8);
	return OK;
}
