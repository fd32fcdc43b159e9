/*
 * The library network: addresses (IP) and networks (CIDR). Read by hand, because inet_pton takes
 * neither a length nor says what is wrong, and strictly: no leading zeros, no zone. An IPv4 address
 * within an IPv6 address is refused when written with points, and is that IPv4 address when written
 * in hexadecimal.
 */
#include "function_priv.h"

#include <string.h>

#define GROUPS 8

/* What is wrong with a text. */
static const char no_address[] = "not an IP address: 192.0.2.1 and 2001:db8::1 are, without a zone "
				 "and without leading zeros";
static const char no_network[] = "not a CIDR: 192.0.2.0/24 and 2001:db8::/32 are";
static const char has_zone[] = "an address with a zone (%...) is not allowed";
static const char has_ipv4[] =
	"an IPv4 address within an IPv6 address (::ffff:192.0.2.1) is not allowed";

/* ---- reading --------------------------------------------------------------------------------- */

/* A decimal number without leading zeros; advances `text`. */
static bool read_decimal(struct bytes *text, unsigned most, unsigned *ret_number)
{
	unsigned number = 0;
	size_t size = 0;
	while (size < text->size && text->data[size] >= '0' && text->data[size] <= '9') {
		number = number * 10 + (unsigned)(text->data[size] - '0');
		size++;
		if (number > most) {
			return false;
		}
	}
	if (size == 0 || (size > 1 && text->data[0] == '0')) {
		return false;
	}
	*text = (struct bytes){text->data + size, text->size - size};
	*ret_number = number;
	return true;
}

static bool skip(struct bytes *text, char letter)
{
	if (text->size == 0 || text->data[0] != letter) {
		return false;
	}
	*text = (struct bytes){text->data + 1, text->size - 1};
	return true;
}

/* The whole of `text`, as four bytes. */
static bool read_ipv4(struct bytes text, uint8_t *ret_bytes)
{
	for (size_t i = 0; i < 4; i++) {
		unsigned number = 0;
		if ((i > 0 && !skip(&text, '.')) || !read_decimal(&text, 255, &number)) {
			return false;
		}
		ret_bytes[i] = (uint8_t)number;
	}
	return text.size == 0;
}

static int hexadecimal(char letter)
{
	if (letter >= '0' && letter <= '9') {
		return letter - '0';
	}
	char lower = (char)(letter | 32);
	return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* One to four hexadecimal digits, as two bytes; advances `text`. */
static bool read_group(struct bytes *text, uint8_t *ret_bytes)
{
	unsigned number = 0;
	size_t size = 0;
	while (size < text->size && size < 4 && hexadecimal(text->data[size]) >= 0) {
		number = number << 4 | (unsigned)hexadecimal(text->data[size]);
		size++;
	}
	*text = (struct bytes){text->data + size, text->size - size};
	ret_bytes[0] = (uint8_t)(number >> 8);
	ret_bytes[1] = (uint8_t)number;
	return size > 0;
}

/* What is read of an IPv6 address: bytes, and behind how many of them `::` stands. */
struct ipv6 {
	uint8_t bytes[16];
	size_t size;
	size_t gap;
	bool has_gap, has_points;
};

/* What stands between colons, if it is the last with points in it. */
static bool read_part(struct bytes *text, struct ipv6 *ipv6)
{
	size_t colon = 0;
	while (colon < text->size && text->data[colon] != ':') {
		colon++;
	}
	if (colon == text->size && memchr(text->data, '.', text->size)) {
		ipv6->has_points = true;
		bool is_fine = ipv6->size <= 12 && read_ipv4(*text, ipv6->bytes + ipv6->size);
		ipv6->size += 4;
		*text = (struct bytes){text->data + text->size, 0};
		return is_fine;
	}
	bool is_fine = ipv6->size <= 14 && read_group(text, ipv6->bytes + ipv6->size);
	ipv6->size += 2;
	return is_fine;
}

/* Parts, a colon between two of them, and once two colons. */
static bool read_parts(struct bytes text, struct ipv6 *ret_ipv6)
{
	struct ipv6 *ipv6 = ret_ipv6;
	if (text.size >= 2 && text.data[0] == ':' && text.data[1] == ':') {
		ipv6->has_gap = true;
		text = (struct bytes){text.data + 2, text.size - 2};
	}
	while (text.size > 0) {
		if (!read_part(&text, ipv6)) {
			return false;
		}
		if (text.size == 0) {
			break;
		}
		if (!skip(&text, ':') || text.size == 0) {
			return false;
		}
		if (skip(&text, ':')) {
			if (ipv6->has_gap) {
				return false;
			}
			ipv6->has_gap = true;
			ipv6->gap = ipv6->size;
		}
	}
	return ipv6->has_gap ? ipv6->size <= 14 : ipv6->size == 16;
}

static bool is_mapped(const uint8_t *bytes)
{
	static const uint8_t prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
	return memcmp(bytes, prefix, sizeof(prefix)) == 0;
}

/* NULL: fine; else what is wrong. */
static const char *read_ipv6(struct bytes text, struct cel_address *ret_address, bool *ret_mapped)
{
	struct ipv6 ipv6 = {0};
	if (!read_parts(text, &ipv6)) {
		return no_address;
	}
	size_t behind = ipv6.size - ipv6.gap;
	memmove(ipv6.bytes + 16 - behind, ipv6.bytes + ipv6.gap, behind);
	memset(ipv6.bytes + ipv6.gap, 0, 16 - ipv6.size);
	*ret_mapped = is_mapped(ipv6.bytes);
	if (*ret_mapped && ipv6.has_points) {
		return has_ipv4;
	}
	*ret_address = (struct cel_address){.size = *ret_mapped ? 4 : 16};
	memcpy(ret_address->bytes, ipv6.bytes + (*ret_mapped ? 12 : 0), ret_address->size);
	return NULL;
}

static const char *read_address(
	struct bytes text, struct cel_address *ret_address, bool *ret_mapped)
{
	*ret_mapped = false;
	if (text.size > 0 && memchr(text.data, '%', text.size)) {
		return has_zone;
	}
	if (text.size > 0 && memchr(text.data, ':', text.size)) {
		return read_ipv6(text, ret_address, ret_mapped);
	}
	*ret_address = (struct cel_address){.size = 4};
	return read_ipv4(text, ret_address->bytes) ? NULL : no_address;
}

static const char *read_ip(struct bytes text, struct cel_address *ret_address)
{
	bool mapped = false;
	return read_address(text, ret_address, &mapped);
}

static const char *read_cidr(struct bytes text, struct cel_address *ret_address)
{
	const char *slash = text.size > 0 ? memchr(text.data, '/', text.size) : NULL;
	if (!slash) {
		return no_network;
	}
	size_t size = (size_t)(slash - text.data);
	bool mapped = false;
	const char *wrong = read_address((struct bytes){text.data, size}, ret_address, &mapped);
	if (wrong) {
		return wrong == no_address ? no_network : wrong;
	}
	if (mapped) {
		return has_ipv4;
	}
	struct bytes rest = {slash + 1, text.size - size - 1};
	unsigned prefix = 0;
	if (!read_decimal(&rest, 8U * ret_address->size, &prefix) || rest.size > 0) {
		return no_network;
	}
	ret_address->prefix = (uint8_t)prefix;
	return NULL;
}

/* ---- printing -------------------------------------------------------------------------------- */

static unsigned group_at(const struct cel_address *address, size_t group)
{
	return (unsigned)address->bytes[2 * group] << 8 | address->bytes[2 * group + 1];
}

/* The first of the longest runs of zero groups, two at least; *ret_size 0: there is none. */
static size_t longest_gap(const struct cel_address *address, size_t *ret_size)
{
	size_t longest = 1;
	size_t start = 0;
	size_t run = 0;
	for (size_t i = 0; i < GROUPS; i++) {
		run = group_at(address, i) == 0 ? run + 1 : 0;
		if (run > longest) {
			longest = run;
			start = i + 1 - run;
		}
	}
	*ret_size = longest > 1 ? longest : 0;
	return start;
}

static enum err print_ipv6(struct buffer *buffer, const struct cel_address *address)
{
	size_t gap_size = 0;
	size_t gap = longest_gap(address, &gap_size);
	enum err err = OK;
	for (size_t i = 0; i < GROUPS && !err;) {
		if (gap_size > 0 && i == gap) {
			err = buffer_append_text(buffer, "::");
			i += gap_size;
			continue;
		}
		bool is_first = i == 0 || (gap_size > 0 && i == gap + gap_size);
		err = buffer_printf(buffer, is_first ? "%x" : ":%x", group_at(address, i));
		i++;
	}
	return err;
}

static enum err print_address(struct buffer *buffer, const struct cel_address *address)
{
	if (address->size == 16) {
		return print_ipv6(buffer, address);
	}
	return buffer_printf(buffer, "%u.%u.%u.%u", address->bytes[0], address->bytes[1],
		address->bytes[2], address->bytes[3]);
}

enum err cel_print_network(struct buffer *buffer, struct cel_value network)
{
	enum err err = print_address(buffer, network.as.address);
	if (!err && network.type == CEL_CIDR) {
		err = buffer_printf(buffer, "/%u", network.as.address->prefix);
	}
	return err;
}

/* ---- making ---------------------------------------------------------------------------------- */

static struct cel_value make(
	struct cel_run *run, enum cel_type type, const struct cel_address *address)
{
	struct cel_address *made = cel_alloc(run, sizeof(*made));
	if (!made) {
		return cel_stopped(run);
	}
	*made = *address;
	return cel_network(type, made);
}

struct cel_value cel_call_ip_of_string(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	struct cel_address address;
	const char *wrong = read_ip(cel_text(arguments[0]), &address);
	return wrong ? cel_error(CEL_FAILED_ARGUMENT, wrong) : make(run, CEL_IP, &address);
}

struct cel_value cel_call_cidr_of_string(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	struct cel_address address;
	const char *wrong = read_cidr(cel_text(arguments[0]), &address);
	return wrong ? cel_error(CEL_FAILED_ARGUMENT, wrong) : make(run, CEL_CIDR, &address);
}

struct cel_value cel_call_is_ip(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	struct cel_address address;
	return cel_bool(!read_ip(cel_text(arguments[0]), &address));
}

struct cel_value cel_call_is_cidr(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	struct cel_address address;
	return cel_bool(!read_cidr(cel_text(arguments[0]), &address));
}

/* What an address prints as; the error of a stopped run on lack. */
static struct cel_value text_of(struct cel_run *run, struct cel_value network)
{
	struct buffer buffer = {0};
	enum err err = cel_print_network(&buffer, network);
	return cel_finish_text(run, &buffer, err);
}

struct cel_value cel_call_ip_is_canonical(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	struct cel_address address;
	const char *wrong = read_ip(cel_text(arguments[0]), &address);
	if (wrong) {
		return cel_error(CEL_FAILED_ARGUMENT, wrong);
	}
	struct cel_value text = text_of(run, cel_network(CEL_IP, &address));
	return cel_is_error(text) ? text
				  : cel_bool(bytes_equal(cel_text(text), cel_text(arguments[0])));
}

struct cel_value cel_call_string_of_network(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	return text_of(run, arguments[0]);
}

/* ---- what addresses are ---------------------------------------------------------------------- */

static bool is_all(const struct cel_address *address, uint8_t byte)
{
	for (size_t i = 0; i < address->size; i++) {
		if (address->bytes[i] != byte) {
			return false;
		}
	}
	return true;
}

static bool is_loopback(const struct cel_address *address)
{
	static const uint8_t loopback[16] = {[15] = 1};
	return address->size == 4 ? address->bytes[0] == 127
				  : memcmp(address->bytes, loopback, sizeof(loopback)) == 0;
}

static bool is_multicast(const struct cel_address *address)
{
	return address->size == 4 ? address->bytes[0] >> 4 == 0xe : address->bytes[0] == 0xff;
}

static bool is_link_local_multicast(const struct cel_address *address)
{
	const uint8_t *bytes = address->bytes;
	return address->size == 4 ? bytes[0] == 224 && bytes[1] == 0 && bytes[2] == 0
				  : bytes[0] == 0xff && (bytes[1] & 0x0f) == 2;
}

static bool is_link_local_unicast(const struct cel_address *address)
{
	const uint8_t *bytes = address->bytes;
	return address->size == 4 ? bytes[0] == 169 && bytes[1] == 254
				  : bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80;
}

struct cel_value cel_call_ip_family(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return cel_int(arguments[0].as.address->size == 4 ? 4 : 6);
}

struct cel_value cel_call_ip_is_unspecified(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return cel_bool(is_all(arguments[0].as.address, 0));
}

struct cel_value cel_call_ip_is_loopback(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return cel_bool(is_loopback(arguments[0].as.address));
}

/* Private addresses are: they are unicast beyond one link. */
struct cel_value cel_call_ip_is_global_unicast(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	const struct cel_address *address = arguments[0].as.address;
	bool is_broadcast = address->size == 4 && is_all(address, 0xff);
	return cel_bool(!is_broadcast && !is_all(address, 0) && !is_loopback(address) &&
		!is_multicast(address) && !is_link_local_unicast(address));
}

struct cel_value cel_call_ip_is_link_local_multicast(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return cel_bool(is_link_local_multicast(arguments[0].as.address));
}

struct cel_value cel_call_ip_is_link_local_unicast(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return cel_bool(is_link_local_unicast(arguments[0].as.address));
}

/* ---- networks -------------------------------------------------------------------------------- */

/* Sets what is behind the first `prefix` bits to 0. */
static struct cel_address mask(const struct cel_address *address, unsigned prefix)
{
	struct cel_address masked = *address;
	for (unsigned i = 0; i < masked.size; i++) {
		unsigned bits = prefix <= 8 * i ? 0 : prefix - 8 * i;
		unsigned kept = bits >= 8 ? 0xffU : 0xff00U >> bits & 0xffU;
		masked.bytes[i] = (uint8_t)(masked.bytes[i] & kept);
	}
	return masked;
}

/* Whether the address, whatever its own prefix is, lies in the network. */
static bool contains(const struct cel_address *network, const struct cel_address *address)
{
	struct cel_address a = mask(network, network->prefix);
	struct cel_address b = mask(address, network->prefix);
	return a.size == b.size && memcmp(a.bytes, b.bytes, a.size) == 0;
}

struct cel_value cel_call_cidr_contains_ip(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	if (arguments[1].type == CEL_IP) {
		return cel_bool(contains(arguments[0].as.address, arguments[1].as.address));
	}
	struct cel_address address;
	const char *wrong = read_ip(cel_text(arguments[1]), &address);
	return wrong ? cel_error(CEL_FAILED_ARGUMENT, wrong)
		     : cel_bool(contains(arguments[0].as.address, &address));
}

struct cel_value cel_call_cidr_contains_cidr(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	const struct cel_address *outer = arguments[0].as.address;
	struct cel_address read;
	const struct cel_address *inner = &read;
	if (arguments[1].type == CEL_CIDR) {
		inner = arguments[1].as.address;
	} else {
		const char *wrong = read_cidr(cel_text(arguments[1]), &read);
		if (wrong) {
			return cel_error(CEL_FAILED_ARGUMENT, wrong);
		}
	}
	return cel_bool(outer->prefix <= inner->prefix && contains(outer, inner));
}

struct cel_value cel_call_cidr_ip(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	struct cel_address address = *arguments[0].as.address;
	address.prefix = 0;
	return make(run, CEL_IP, &address);
}

struct cel_value cel_call_cidr_masked(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)count;
	struct cel_address address = mask(arguments[0].as.address, arguments[0].as.address->prefix);
	return make(run, CEL_CIDR, &address);
}

struct cel_value cel_call_cidr_is_mask(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	const struct cel_address *address = arguments[0].as.address;
	struct cel_address masked = mask(address, address->prefix);
	return cel_bool(memcmp(masked.bytes, address->bytes, sizeof(masked.bytes)) == 0);
}

struct cel_value cel_call_cidr_prefix_length(
	struct cel_run *run, const struct cel_value *arguments, size_t count)
{
	(void)run;
	(void)count;
	return cel_int(arguments[0].as.address->prefix);
}
