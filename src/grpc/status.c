/* Numbers and their names. All tables are total: what is not known becomes GRPC_UNKNOWN. */
#include "grpc_priv.h"

const char *grpc_status_name(enum grpc_status status)
{
	switch (status) {
#define X(name, number, text)                                                                      \
	case name:                                                                                 \
		return text;
		GRPC_STATUS_LIST(X)
#undef X
	default:
		return "UNKNOWN";
	}
}

enum grpc_status grpc_status_of(enum err code)
{
	static const enum grpc_status table[ERR_COUNT] = {
		[OK] = GRPC_OK,
		[ERR_MEMORY] = GRPC_RESOURCE_EXHAUSTED,
		[ERR_INVALID] = GRPC_INVALID_ARGUMENT,
		[ERR_LIMIT] = GRPC_RESOURCE_EXHAUSTED,
		[ERR_FULL] = GRPC_RESOURCE_EXHAUSTED,
		[ERR_EMPTY] = GRPC_UNAVAILABLE,
		[ERR_EXISTS] = GRPC_ALREADY_EXISTS,
		[ERR_NOT_FOUND] = GRPC_NOT_FOUND,
		[ERR_UNSUPPORTED] = GRPC_UNIMPLEMENTED,
		[ERR_CORRUPT] = GRPC_INVALID_ARGUMENT,
		[ERR_IO] = GRPC_UNAVAILABLE,
		[ERR_CLOSED] = GRPC_UNAVAILABLE,
		[ERR_CANCELLED] = GRPC_CANCELLED,
		[ERR_TIMEOUT] = GRPC_DEADLINE_EXCEEDED,
		[ERR_UNAVAILABLE] = GRPC_UNAVAILABLE,
		[ERR_INTERNAL] = GRPC_INTERNAL,
	};
	return (unsigned)code < ERR_COUNT ? table[code] : GRPC_UNKNOWN;
}

enum err grpc_err_of(enum grpc_status status)
{
	static const enum err table[] = {
		[GRPC_OK] = OK,
		[GRPC_CANCELLED] = ERR_CANCELLED,
		[GRPC_UNKNOWN] = ERR_INTERNAL,
		[GRPC_INVALID_ARGUMENT] = ERR_INVALID,
		[GRPC_DEADLINE_EXCEEDED] = ERR_TIMEOUT,
		[GRPC_NOT_FOUND] = ERR_NOT_FOUND,
		[GRPC_ALREADY_EXISTS] = ERR_EXISTS,
		[GRPC_PERMISSION_DENIED] = ERR_INVALID,
		[GRPC_RESOURCE_EXHAUSTED] = ERR_LIMIT,
		[GRPC_FAILED_PRECONDITION] = ERR_INVALID,
		[GRPC_ABORTED] = ERR_CANCELLED,
		[GRPC_OUT_OF_RANGE] = ERR_INVALID,
		[GRPC_UNIMPLEMENTED] = ERR_UNSUPPORTED,
		[GRPC_INTERNAL] = ERR_INTERNAL,
		[GRPC_UNAVAILABLE] = ERR_UNAVAILABLE,
		[GRPC_DATA_LOSS] = ERR_CORRUPT,
		[GRPC_UNAUTHENTICATED] = ERR_INVALID,
	};
	return (unsigned)status <= GRPC_UNAUTHENTICATED ? table[status] : ERR_INTERNAL;
}

enum grpc_status grpc_status_of_number(struct bytes digits)
{
	unsigned number = 0;
	if (digits.size == 0 || digits.size > 2) {
		return GRPC_UNKNOWN;
	}
	for (size_t i = 0; i < digits.size; i++) {
		if (digits.data[i] < '0' || digits.data[i] > '9') {
			return GRPC_UNKNOWN;
		}
		number = number * 10 + (unsigned)(digits.data[i] - '0');
	}
	return number <= GRPC_UNAUTHENTICATED ? (enum grpc_status)number : GRPC_UNKNOWN;
}

/* For answers without grpc-status: those of proxies, mostly. */
enum grpc_status grpc_status_of_http(uint32_t http_status)
{
	switch (http_status) {
	case 400:
		return GRPC_INTERNAL;
	case 401:
		return GRPC_UNAUTHENTICATED;
	case 403:
		return GRPC_PERMISSION_DENIED;
	case 404:
		return GRPC_UNIMPLEMENTED;
	case 429:
	case 502:
	case 503:
	case 504:
		return GRPC_UNAVAILABLE;
	default:
		return GRPC_UNKNOWN;
	}
}

/* The table of gRPC's HTTP/2 mapping. */
enum grpc_status grpc_status_of_reset(uint32_t http2_error)
{
	switch (http2_error) {
	case NGHTTP2_NO_ERROR:
	case NGHTTP2_PROTOCOL_ERROR:
	case NGHTTP2_INTERNAL_ERROR:
	case NGHTTP2_FLOW_CONTROL_ERROR:
	case NGHTTP2_SETTINGS_TIMEOUT:
	case NGHTTP2_FRAME_SIZE_ERROR:
	case NGHTTP2_COMPRESSION_ERROR:
	case NGHTTP2_CONNECT_ERROR:
		return GRPC_INTERNAL;
	case NGHTTP2_REFUSED_STREAM:
		return GRPC_UNAVAILABLE;
	case NGHTTP2_CANCEL:
		return GRPC_CANCELLED;
	case NGHTTP2_ENHANCE_YOUR_CALM:
		return GRPC_RESOURCE_EXHAUSTED;
	case NGHTTP2_INADEQUATE_SECURITY:
		return GRPC_PERMISSION_DENIED;
	default:
		return GRPC_UNKNOWN;
	}
}
