/* The names of the nouns' kinds, and the one id that is made up. */
#include "model.h"

#include <inttypes.h>
#include <stdio.h>

const char *model_operation_name(enum model_operation operation)
{
	switch (operation) {
	case MODEL_INSERT:
		return "INSERT";
	case MODEL_UPDATE:
		return "UPDATE";
	case MODEL_DELETE:
		return "DELETE";
	case MODEL_NO_OPERATION:
		break;
	}
	return "";
}

static const char *const change_kind_names[] = {
	[MODEL_CHANGE_UNKNOWN] = "",
	[MODEL_CHANGE_INSERT] = "insert",
	[MODEL_CHANGE_UPDATE] = "update",
	[MODEL_CHANGE_REPLACE] = "replace",
	[MODEL_CHANGE_DELETE] = "delete",
};

enum model_change_kind model_change_kind_of(struct bytes name)
{
	for (unsigned kind = MODEL_CHANGE_INSERT; kind <= MODEL_CHANGE_DELETE; kind++) {
		if (bytes_equal(name, bytes_of(change_kind_names[kind]))) {
			return (enum model_change_kind)kind;
		}
	}
	return MODEL_CHANGE_UNKNOWN;
}

const char *model_change_kind_name(enum model_change_kind kind)
{
	return (unsigned)kind <= MODEL_CHANGE_DELETE ? change_kind_names[kind] : "";
}

void model_uuid_print(uint64_t high, uint64_t low, char ret_text[MODEL_UUID_SIZE])
{
	/* RFC 9562: the version is the highest four bits of the third group, the variant the two
	 * highest bits of the fourth. */
	high = (high & ~UINT64_C(0xF000)) | UINT64_C(0x4000);
	low = (low & ~(UINT64_C(3) << 62)) | UINT64_C(2) << 62;
	(void)snprintf(ret_text, MODEL_UUID_SIZE,
		"%08" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%012" PRIx64, high >> 32,
		high >> 16 & 0xFFFFU, high & 0xFFFFU, low >> 48, low & UINT64_C(0xFFFFFFFFFFFF));
}
