/*
 * Addresses as people write them, read and printed. No name is looked up here.
 */
#include "loop_priv.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static enum err parse_unix(
	const char *text, const char *path, struct address *ret_address, struct err_info *info)
{
	uint32_t at = (uint32_t)(path - text);
	size_t size = strlen(path);
	if (size == 0) {
		return err_set(info, ERR_INVALID, at, "a path must follow \"unix:\"");
	}
	if (size >= sizeof(ret_address->path)) {
		return err_set(info, ERR_INVALID, at,
			"the path of a unix socket has at most %zu bytes, this one has %zu",
			sizeof(ret_address->path) - 1, size);
	}
	*ret_address = (struct address){.is_unix = true};
	memcpy(ret_address->path, path, size);
	return OK;
}

static enum err parse_port(
	const char *text, const char *digits, uint16_t *ret_port, struct err_info *info)
{
	uint32_t value = 0;
	size_t count = 0;
	while (count < 6 && digits[count] >= '0' && digits[count] <= '9') {
		value = value * 10 + (uint32_t)(digits[count] - '0');
		count++;
	}
	if (count == 0 || digits[count] != '\0' || value > UINT16_MAX) {
		return err_set(info, ERR_INVALID, (uint32_t)(digits - text),
			"a port is a number from 0 to 65535, not \"%.40s\"", digits);
	}
	*ret_port = (uint16_t)value;
	return OK;
}

enum err address_parse(const char *text, struct address *ret_address, struct err_info *info)
{
	if (strncmp(text, "unix:", 5) == 0) {
		return parse_unix(text, text + 5, ret_address, info);
	}
	const char *host = text;
	const char *host_end = NULL;
	const char *colon = NULL;
	if (text[0] == '[') {
		host = text + 1;
		host_end = strchr(host, ']');
		if (!host_end) {
			return err_set(info, ERR_INVALID, 0, "\"[\" without \"]\"");
		}
		colon = host_end[1] == ':' ? host_end + 1 : NULL;
	} else {
		colon = strrchr(text, ':');
		host_end = colon;
		if (colon && strchr(text, ':') != colon) {
			return err_set(info, ERR_INVALID, 0,
				"an IPv6 address stands in brackets, as in \"[::1]:50052\"");
		}
	}
	if (!colon) {
		return err_set(info, ERR_INVALID, (uint32_t)strlen(text),
			"no port: an address is \"host:port\", \":port\", \"[v6]:port\" or "
			"\"unix:/path\"");
	}
	size_t host_size = (size_t)(host_end - host);
	if (host_size >= sizeof(ret_address->host)) {
		return err_set(info, ERR_INVALID, 0, "the host name is too long");
	}
	uint16_t port = 0;
	enum err err = parse_port(text, colon + 1, &port, info);
	if (err) {
		return err;
	}
	*ret_address = (struct address){.port = port};
	memcpy(ret_address->host, host, host_size);
	return OK;
}

void address_print_host(const char *host, uint16_t port, char *text)
{
	const char *format = strchr(host, ':') ? "[%s]:%u" : "%s:%u";
	(void)snprintf(text, ADDRESS_TEXT_MAX, format, host, port);
}

void address_print(const struct sockaddr_storage *address, socklen_t size, char *text)
{
	char host[INET6_ADDRSTRLEN] = "";
	if (address->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)address;
		(void)inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		address_print_host(host, ntohs(in->sin_port), text);
	} else if (address->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
		(void)inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		address_print_host(host, ntohs(in6->sin6_port), text);
	} else {
		const struct sockaddr_un *local = (const struct sockaddr_un *)address;
		bool named = size > offsetof(struct sockaddr_un, sun_path);
		(void)snprintf(text, ADDRESS_TEXT_MAX, "unix:%.*s",
			named ? (int)sizeof(local->sun_path) : 0, local->sun_path);
	}
}
